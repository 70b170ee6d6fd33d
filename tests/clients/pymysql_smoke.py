"""PyMySQL: the plain driver. Usage: script PORT"""
import datetime, decimal, sys
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
conn.ping()
conn.close()
with admin.cursor() as c:
    c.execute("DROP DATABASE c_pymysql")
print("ok")
