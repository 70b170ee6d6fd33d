"""MySQL's own connector (pure Python), text and prepared. Usage: script PORT"""
import datetime, decimal, sys
import mysql.connector

port = int(sys.argv[1])
conn = mysql.connector.connect(host="127.0.0.1", port=port, user="root", password="", use_pure=True)
c = conn.cursor()
c.execute("DROP DATABASE IF EXISTS c_connector")
c.execute("CREATE DATABASE c_connector")
conn.database = "c_connector"
c.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(50), d DECIMAL(10,2), at DATETIME(6), j JSON)")
c.execute("INSERT INTO t (s, d, at, j) VALUES (%s, %s, %s, %s)", ("x", decimal.Decimal("1.25"), datetime.datetime(2024, 1, 2, 3, 4, 5, 678), '{"a": 1}'))
assert c.lastrowid == 1
conn.commit()
p = conn.cursor(prepared=True)
for n in range(5):
    p.execute("INSERT INTO t (s, d, at) VALUES (?, ?, ?)", (f"p{n}", decimal.Decimal(n), datetime.datetime(2024, 1, 1 + n)))
conn.commit()
p.execute("SELECT id, s, d, at FROM t WHERE d >= ? ORDER BY id", (decimal.Decimal("1.25"),))
rows = p.fetchall()
assert [r[1] for r in rows] == ["x", "p2", "p3", "p4"], rows
assert rows[0][2] == decimal.Decimal("1.25") and rows[0][3] == datetime.datetime(2024, 1, 2, 3, 4, 5, 678), rows[0]
d = conn.cursor(dictionary=True)
d.execute("SELECT j FROM t WHERE id = 1")
assert '"a": 1' in str(d.fetchone()["j"])
try:
    c.execute("SELECT nope FROM t")
    assert False
except mysql.connector.Error as e:
    assert e.errno == 1054 and e.sqlstate == "42S22", e
conn.cmd_reset_connection()
conn.ping()
c = conn.cursor()
c.execute("DROP DATABASE c_connector")
conn.close()
print("ok")
