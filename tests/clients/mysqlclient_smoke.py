"""mysqlclient, on MariaDB's C library. Usage: script PORT"""
import datetime, decimal, os, sys, tempfile
import MySQLdb
import MySQLdb.cursors

port = int(sys.argv[1])
login = dict(host="127.0.0.1", port=port, user="root", charset="utf8mb4")
conn = MySQLdb.connect(**login)
c = conn.cursor()
c.execute("DROP DATABASE IF EXISTS c_mysqlclient")
c.execute("CREATE DATABASE c_mysqlclient")
conn.select_db("c_mysqlclient")
c.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(50), d DECIMAL(10,2), f DOUBLE, at DATETIME(6), day DATE, tm TIME, b BLOB, n BIGINT UNSIGNED)")
row = ("héllo 'x' \\ %", decimal.Decimal("12.50"), 1.5, datetime.datetime(2024, 2, 29, 1, 2, 3, 456789), datetime.date(2024, 1, 2), datetime.timedelta(hours=25, minutes=1), b"\x00\xff'\xc3", 2**64 - 1)
c.execute("INSERT INTO t (s, d, f, at, day, tm, b, n) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", row)
assert c.lastrowid == 1 and conn.insert_id() == 1
conn.commit()
c.execute("SELECT s, d, f, at, day, tm, b, n FROM t")
got = c.fetchone()
assert got == row, got
assert c.executemany("INSERT INTO t (s, n) VALUES (%s, %s)", [(f"row {i}", i) for i in range(1000)]) == 1000
conn.rollback()
c.execute("SELECT COUNT(*) FROM t")
assert c.fetchone() == (1,)
try:
    c.execute("INSERT INTO t (id) VALUES (1)")
    assert False
except MySQLdb.IntegrityError as e:
    assert e.args[0] == 1062, e
assert c.execute("SELECT 1/0") == 1 and conn.warning_count() == 1
assert [w[1] for w in conn.show_warnings()] == [1365]
c.execute("SELECT 1 AS a; SELECT 2 AS b")
assert c.fetchall() == ((1,),) and c.nextset() == 1 and c.fetchall() == ((2,),)
assert c.nextset() is None
with MySQLdb.connect(db="c_mysqlclient", cursorclass=MySQLdb.cursors.SSDictCursor, **login) as streaming:
    s = streaming.cursor()
    s.execute("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 900) SELECT n FROM r")
    assert sum(r["n"] for r in s.fetchall()) == 900 * 901 // 2
    s.close()
with tempfile.NamedTemporaryFile("w", delete=False) as f:
    f.write("500\tfrom a file\n")
for more in [dict(compress=True), dict(ssl_mode="REQUIRED"), dict(local_infile=1)]:
    other = MySQLdb.connect(db="c_mysqlclient", **login, **more)
    k = other.cursor()
    k.execute("SELECT REPEAT('x', 200000)")
    assert len(k.fetchone()[0]) == 200000
    if "local_infile" in more:
        assert k.execute(f"LOAD DATA LOCAL INFILE '{f.name}' INTO TABLE t (id, s)") == 1
        other.commit()
    other.close()
os.unlink(f.name)
assert conn.stat().startswith("Uptime: ")
conn.change_user("root", "", "c_mysqlclient")
conn.ping()
c = conn.cursor()
c.execute("SELECT s FROM t WHERE id = 500")
assert c.fetchone() == ("from a file",)
c.execute("DROP DATABASE c_mysqlclient")
conn.close()
print("ok")
