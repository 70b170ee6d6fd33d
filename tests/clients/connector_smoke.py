"""MySQL's own connector, as C extension and as pure Python: text, prepared, pooled, compressed, TLS. Usage: script PORT"""
import datetime, decimal, os, sys, tempfile
import mysql.connector
from mysql.connector import pooling
from mysql.connector.constants import ClientFlag

port = int(sys.argv[1])
assert mysql.connector.HAVE_CEXT, "the C extension is not there"


def smoke(pure):
    login = dict(host="127.0.0.1", port=port, user="root", password="", use_pure=pure)
    conn = mysql.connector.connect(**login)
    c = conn.cursor()
    c.execute("DROP DATABASE IF EXISTS c_connector")
    c.execute("CREATE DATABASE c_connector")
    conn.database = "c_connector"
    c.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(50), d DECIMAL(10,2), at DATETIME(6), j JSON, b BLOB, tm TIME, n BIGINT UNSIGNED)")
    row = ("x", decimal.Decimal("1.25"), datetime.datetime(2024, 1, 2, 3, 4, 5, 678), '{"a": 1}', b"\x00\xff'\\\xc3", datetime.timedelta(hours=-5, microseconds=0), 2**64 - 1)
    c.execute("INSERT INTO t (s, d, at, j, b, tm, n) VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
    assert c.lastrowid == 1
    c.execute("SELECT s, d, at, b, tm, n FROM t")
    got = c.fetchone()
    assert got == (row[0], row[1], row[2], row[4], row[5], row[6]), got
    conn.commit()
    p = conn.cursor(prepared=True)
    for n in range(5):
        p.execute("INSERT INTO t (s, d, at) VALUES (?, ?, ?)", (f"p{n}", decimal.Decimal(n), datetime.datetime(2024, 1, 1 + n)))
    conn.commit()
    p.execute("SELECT id, s, d, at FROM t WHERE d >= ? ORDER BY id", (decimal.Decimal("1.25"),))
    rows = p.fetchall()
    assert [r[1] for r in rows] == ["x", "p2", "p3", "p4"], rows
    assert rows[0][2] == decimal.Decimal("1.25") and rows[0][3] == datetime.datetime(2024, 1, 2, 3, 4, 5, 678), rows[0]
    p.execute("SELECT COUNT(*), SUM(d), AVG(id) FROM t WHERE s LIKE ?", ("p%",))
    assert p.fetchall() == [(5, decimal.Decimal("10.00"), decimal.Decimal("4.0000"))]
    d = conn.cursor(dictionary=True)
    d.execute("SELECT j FROM t WHERE id = 1")
    assert '"a": 1' in str(d.fetchone()["j"])
    try:
        c.execute("SELECT nope FROM t")
        assert False
    except mysql.connector.Error as e:
        assert e.errno == 1054 and e.sqlstate == "42S22", e
    c.executemany("INSERT INTO t (s, n) VALUES (%s, %s)", [(f"many {n}", n) for n in range(100)])
    assert c.rowcount == 100
    conn.rollback()
    assert conn.in_transaction is False
    conn.start_transaction(isolation_level="READ COMMITTED")
    assert conn.in_transaction is True
    conn.commit()
    conn.cmd_reset_connection()
    conn.ping()
    conn.close()
    # A pool gives a reset connection back, and compression and TLS change nothing.
    for more in [dict(compress=True), dict(ssl_disabled=True), dict(ssl_disabled=False)]:
        pool = pooling.MySQLConnectionPool(pool_name=f"p{pure}{len(more)}{list(more)[0]}{list(more.values())[0]}", pool_size=2, database="c_connector", **login, **more)
        for n in range(4):
            conn = pool.get_connection()
            c = conn.cursor(buffered=True)
            c.execute("SELECT @x, COUNT(*), REPEAT('z', 100000) FROM t")
            got = c.fetchone()
            assert got[:2] == (None, 6) and len(got[2]) == 100000, got[:2]
            c.execute("SET @x = 5")
            conn.close()
    # Several statements, and a file.
    with tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False) as f:
        f.write("100,from a file\n101,too\n")
    conn = mysql.connector.connect(database="c_connector", allow_local_infile=True, client_flags=[ClientFlag.MULTI_STATEMENTS], **login)
    c = conn.cursor()
    c.execute(f"LOAD DATA LOCAL INFILE '{f.name}' INTO TABLE t FIELDS TERMINATED BY ',' (id, s)")
    assert c.rowcount == 2
    os.unlink(f.name)
    conn.commit()
    names = ["s", "n"]
    c.execute("SELECT s FROM t WHERE id = 101")
    assert c.fetchall() == [("too",)] and c.description[0][0] == "s"
    conn.cmd_change_user("root", "", "c_connector")
    # Who has a password, proves it with or without TLS.
    c = conn.cursor()
    c.execute("DROP USER IF EXISTS c_user")
    c.execute("CREATE USER c_user IDENTIFIED BY 'sécret'")
    for tls in [True, False]:
        other = mysql.connector.connect(**{**login, "user": "c_user", "password": "sécret"}, ssl_disabled=not tls)
        other.close()
    try:
        mysql.connector.connect(**{**login, "user": "c_user", "password": "wrong"})
        assert False
    except mysql.connector.Error as e:
        assert e.errno == 1045, e
    c.execute("DROP USER c_user")
    c.execute("DROP DATABASE c_connector")
    conn.close()


for pure in [True, False]:
    smoke(pure)
print("ok")
