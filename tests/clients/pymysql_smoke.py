"""PyMySQL: the plain driver. Usage: script PORT"""
import datetime, decimal, os, sys, tempfile
import pymysql

port = int(sys.argv[1])
admin = pymysql.connect(host="127.0.0.1", port=port, user="root", password="", autocommit=True)
with admin.cursor() as c:
    c.execute("DROP DATABASE IF EXISTS c_pymysql")
    c.execute("CREATE DATABASE c_pymysql")
conn = pymysql.connect(host="127.0.0.1", port=port, user="root", password="", database="c_pymysql", charset="utf8mb4")
with conn.cursor() as c:
    c.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(50), d DECIMAL(10,2), f DOUBLE, at DATETIME(6), day DATE, tm TIME, b BLOB, n BIGINT UNSIGNED)")
    row = ("héllo 'x' \\ %", decimal.Decimal("12.50"), 1.5, datetime.datetime(2024, 2, 29, 1, 2, 3, 456789), datetime.date(2024, 1, 2), datetime.timedelta(hours=-5), b"\x00\xff'", 2**64 - 1)
    c.execute("INSERT INTO t (s, d, f, at, day, tm, b, n) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", row)
    assert c.lastrowid == 1, c.lastrowid
    c.execute("SELECT s, d, f, at, day, tm, b, n FROM t WHERE id = %s", (1,))
    got = c.fetchone()
    assert got == row, got
    n = c.executemany("INSERT INTO t (s, n) VALUES (%s, %s)", [(f"row {i}", i) for i in range(500)])
    assert n == 500, n
    conn.rollback()
    c.execute("SELECT COUNT(*) FROM t")
    assert c.fetchone() == (0,)
    c.executemany("INSERT INTO t (s, n) VALUES (%s, %s)", [(f"row {i}", i) for i in range(500)])
    conn.commit()
    c.execute("SELECT COUNT(*), SUM(n), MAX(s) FROM t WHERE s LIKE %s", ("ROW 1%",))
    assert c.fetchone()[0] == 111
    try:
        c.execute("INSERT INTO t (id) VALUES (NULL), (7), (7)")
        assert False
    except pymysql.err.IntegrityError as e:
        assert e.args[0] == 1062, e
    try:
        c.execute("SELECT * FROM nosuch")
        assert False
    except pymysql.err.ProgrammingError as e:
        assert e.args[0] == 1146, e
with pymysql.connect(host="127.0.0.1", port=port, user="root", database="c_pymysql", cursorclass=pymysql.cursors.SSDictCursor, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as many:
    with many.cursor() as c:
        c.execute("SELECT 1 AS a; SELECT 2 AS b")
        assert c.fetchall() == [{"a": 1}]
        assert c.nextset() and c.fetchall() == [{"b": 2}]
# A password: sealed with the server's key where there is no TLS, in clear under it.
with admin.cursor() as c:
    c.execute("DROP USER IF EXISTS c_sha, c_native")
    c.execute("CREATE USER c_sha IDENTIFIED WITH caching_sha2_password BY 'secret word'")
    c.execute("CREATE USER c_native IDENTIFIED WITH mysql_native_password BY 'secret word'")
for user in ["c_sha", "c_native"]:
    for more in [{"ssl_disabled": True}, {"ssl": {"check_hostname": False}}]:
        pymysql.connect(host="127.0.0.1", port=port, user=user, password="secret word", **more).close()
    try:
        pymysql.connect(host="127.0.0.1", port=port, user=user, password="wrong", ssl_disabled=True)
        assert False
    except pymysql.err.OperationalError as e:
        assert e.args[0] == 1045, e
with admin.cursor() as c:
    c.execute("DROP USER c_sha, c_native")
# A file, a large packet, a streamed answer.
with tempfile.NamedTemporaryFile("w", delete=False) as f:
    f.write("".join(f"{n}\tline {n}\n" for n in range(10000, 12000)))
with pymysql.connect(host="127.0.0.1", port=port, user="root", database="c_pymysql", local_infile=True, autocommit=True) as files, files.cursor() as c:
    assert c.execute(f"LOAD DATA LOCAL INFILE '{f.name}' INTO TABLE t (id, s)") == 2000
    c.execute("SELECT %s", ("y" * (17 << 20),))
    assert len(c.fetchone()[0]) == 17 << 20
os.unlink(f.name)
# The transaction that is open here does not see them; the next one does.
conn.commit()
with conn.cursor(pymysql.cursors.SSCursor) as c:
    c.execute("SELECT id FROM t WHERE id >= 10000")
    assert sum(1 for _ in c) == 2000
conn.ping()
conn.close()
with admin.cursor() as c:
    c.execute("DROP DATABASE c_pymysql")
print("ok")
