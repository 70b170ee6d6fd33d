//! Unmodified clients against the server. What cannot be installed here is skipped by name, with the reason, never silently.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use weald_tests::client::Client;
use weald_tests::server::{Server, build_dir, free_port, pause};

const PYTHON: &[&str] = &["PyMySQL==1.1.1", "cryptography==43.0.3", "mysql-connector-python==9.1.0", "SQLAlchemy==2.0.36", "Django==4.2.16"];
/// Built from source on top of MariaDB's C library: on its own, so that without it the others are still there.
const PYTHON_C: &str = "mysqlclient==2.2.6";
const NODE: &[&str] = &["mysql2@3.11.4"];

fn skip(client: &str, reason: &str) {
    println!("SKIPPED {client}: {reason}");
    eprintln!("SKIPPED {client}: {reason}");
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

fn run(command: &mut Command) -> Result<Output, String> {
    // A client that hangs is a failure, not a wait: `timeout` (coreutils) ends it.
    let mut bounded = Command::new("timeout");
    bounded.args(["--kill-after=5", "180"]).arg(command.get_program()).args(command.get_args());
    for (k, v) in command.get_envs() {
        bounded.env(k, v.unwrap_or_default());
    }
    if let Some(dir) = command.get_current_dir() {
        bounded.current_dir(dir);
    }
    let out = bounded.stdin(Stdio::null()).output().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    if out.status.success() {
        return Ok(out);
    }
    if out.status.code() == Some(124) {
        return Err(format!("{:?} did not end within 180 s\n{}", command.get_program(), String::from_utf8_lossy(&out.stderr)));
    }
    Err(format!("{:?} {:?}\n{}{}", command.get_program(), out.status, String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

/// The path of `program`, if it is installed.
fn installed(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    programs.iter().find_map(|p| std::env::split_paths(&path).map(|d| d.join(p)).find(|f| f.is_file()))
}

/// Installs `package` with apt, if this is root on a Debian; once.
fn apt(package: &str) -> Result<(), String> {
    static DONE: Mutex<BTreeMap<String, Result<(), String>>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.entry(package.to_string())
        .or_insert_with(|| {
            let apt = installed(&["apt-get"]).ok_or("there is no apt-get")?;
            // SAFETY: asks for a number and changes nothing.
            if unsafe { libc::geteuid() } != 0 {
                return Err(format!("{package} is not installed, and only root could install it"));
            }
            let mut install = Command::new(apt);
            install.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "--yes", "--quiet", "--no-install-recommends", package]);
            run(&mut install).map(drop)
        })
        .clone()
}

/// A program, from what is installed or from `package`.
fn program(names: &[&str], package: &str) -> Result<PathBuf, String> {
    if let Some(path) = installed(names) {
        return Ok(path);
    }
    apt(package)?;
    installed(names).ok_or_else(|| format!("{package} has none of {names:?}"))
}

/// A virtual environment under `target`, filled once; gives its interpreter.
fn environment(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    static FILLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = FILLING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let dir = build_dir().join(name);
    let python = dir.join("bin/python");
    let done = dir.join("installed");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&done).is_ok_and(|d| d == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "30"])
        .args(packages))?;
    std::fs::write(done, wanted).map_err(|e| e.to_string())?;
    Ok(python)
}

fn python() -> Result<PathBuf, String> {
    environment("clients-python", PYTHON)
}

/// With mysqlclient, which wants a compiler, pkg-config and MariaDB's headers.
fn python_c() -> Result<PathBuf, String> {
    program(&["gcc", "cc"], "gcc")?;
    program(&["pkg-config"], "pkg-config")?;
    if installed(&["mariadb_config"]).is_none() {
        apt("libmariadb-dev")?;
    }
    environment("clients-python-c", &[&[PYTHON_C, "Django==4.2.16", "SQLAlchemy==2.0.36"][..]].concat())
}

fn check_python(client: &str, python: Result<PathBuf, String>, file: &str, more: &[&str]) {
    let python = match python {
        Ok(p) => p,
        Err(e) => return skip(client, &e),
    };
    let server = Server::start();
    if let Err(e) = run(Command::new(python).arg(script(file)).arg(server.port.to_string()).args(more)) {
        panic!("{client}: {e}");
    }
}

#[test]
fn pymysql_works() {
    check_python("PyMySQL", python(), "pymysql_smoke.py", &[]);
}

#[test]
fn mysql_connector_python_works() {
    check_python("mysql-connector-python", python(), "connector_smoke.py", &[]);
}

#[test]
fn sqlalchemy_works() {
    check_python("SQLAlchemy", python(), "sqlalchemy_smoke.py", &[]);
}

#[test]
fn django_works() {
    check_python("Django", python(), "django_smoke.py", &[]);
}

#[test]
fn mysqlclient_works_and_django_and_sqlalchemy_on_it() {
    check_python("mysqlclient", python_c(), "mysqlclient_smoke.py", &[]);
    check_python("Django on mysqlclient", python_c(), "django_smoke.py", &["mysqlclient"]);
    check_python("SQLAlchemy on mysqlclient", python_c(), "sqlalchemy_smoke.py", &["mysqldb"]);
}

#[test]
fn jdbc_works() {
    let jar = Path::new("/usr/share/java/mariadb-java-client.jar");
    let (Some(java), Some(_)) = (installed(&["java"]), installed(&["javac"])) else { return skip("JDBC", "no JDK is installed") };
    if !jar.is_file()
        && let Err(e) = apt("libmariadb-java")
    {
        return skip("JDBC", &e);
    }
    let server = Server::start();
    if let Err(e) = run(Command::new(java).arg("-cp").arg(jar).arg(script("Jdbc.java")).arg(server.port.to_string())) {
        panic!("JDBC: {e}");
    }
}

#[test]
fn node_mysql2_works() {
    let (Some(npm), Some(node)) = (installed(&["npm"]), installed(&["node"])) else {
        return skip("mysql2", "node and npm are not installed");
    };
    let dir = build_dir().join("clients-node");
    if !dir.join("node_modules/mysql2").is_dir() {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("package.json"), "{\"private\": true}").unwrap();
        if let Err(e) = run(Command::new(npm).args(["install", "--silent", "--no-audit", "--no-fund"]).args(NODE).current_dir(&dir)) {
            return skip("mysql2", &e);
        }
    }
    let server = Server::start();
    let out = run(Command::new(node).arg(script("mysql2_smoke.js")).arg(server.port.to_string()).env("NODE_PATH", dir.join("node_modules")));
    if let Err(e) = out {
        panic!("mysql2: {e}");
    }
}

fn host_args(server: &Server) -> Vec<String> {
    vec!["--no-defaults".into(), "--host=127.0.0.1".into(), format!("--port={}", server.port), "--user=root".into()]
}

#[test]
fn the_command_line_client_works() {
    let cli = match program(&["mariadb", "mysql"], "mariadb-client") {
        Ok(cli) => cli,
        Err(e) => return skip("mariadb", &e),
    };
    let server = Server::start();
    let sql = "CREATE DATABASE cli; USE cli; CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(10)); INSERT INTO t VALUES (1,'a'),(2,NULL); SELECT * FROM t ORDER BY id; STATUS; DELETE FROM t; SELECT COUNT(*) FROM t;";
    let out = run(Command::new(&cli).args(host_args(&server)).args(["--batch", "-e", sql])).unwrap_or_else(|e| panic!("{e}"));
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("id\ts\n1\ta\n2\tNULL\n"), "{text}");
    assert!(text.contains("COUNT(*)\n0\n"), "{text}");
    // Compressed, under TLS, and with a file.
    let file = server.dir().with_extension("txt");
    std::fs::write(&file, "10\tfrom\n11\ta file\n").unwrap();
    let load = format!("USE cli; LOAD DATA LOCAL INFILE '{}' INTO TABLE t; SELECT COUNT(*) AS n FROM t; DELETE FROM t", file.display());
    for more in [&["--compress"][..], &["--ssl", "--ssl-verify-server-cert=0"], &["--skip-ssl"], &["--default-character-set=utf8mb4"]] {
        let out = run(Command::new(&cli).args(host_args(&server)).args(more).args(["--local-infile=1", "--batch", "-e", &load]))
            .unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(String::from_utf8_lossy(&out.stdout), "n\n2\n", "{more:?}");
    }
    // Its sisters.
    for (name, args) in [
        ("mariadb-admin", &["ping", "status", "processlist", "variables", "extended-status"][..]),
        ("mariadb-show", &["--keys", "cli", "t"]),
        ("mariadb-show", &["--count", "cli"]),
        ("mariadb-check", &["cli"]),
    ] {
        match installed(&[name]) {
            Some(p) => drop(run(Command::new(p).args(host_args(&server)).args(args)).unwrap_or_else(|e| panic!("{e}"))),
            None => skip(name, "it is not installed"),
        }
    }
}

/// A MariaDB of our own, in a directory that goes with it.
struct MariaDb {
    child: std::process::Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl MariaDb {
    fn start() -> Result<Self, String> {
        let server = program(&["mariadbd"], "mariadb-server-core").or_else(|_| {
            let path = PathBuf::from("/usr/sbin/mariadbd");
            if path.is_file() { Ok(path) } else { Err("mariadbd is not installed".to_string()) }
        })?;
        let install = program(&["mariadb-install-db"], "mariadb-server-core")?;
        let dir = tempfile::Builder::new().prefix("weald-mariadb-").tempdir().map_err(|e| e.to_string())?;
        let data = format!("--datadir={}", dir.path().join("data").display());
        // SAFETY: asks for a number and changes nothing.
        let as_root: &[&str] = if unsafe { libc::geteuid() } == 0 { &["--user=root"] } else { &[] };
        run(Command::new(install).args(["--no-defaults", &data, "--auth-root-authentication-method=normal", "--skip-test-db"]).args(as_root))?;
        let port = free_port();
        let child = Command::new(server)
            .args(["--no-defaults", &data, "--bind-address=127.0.0.1", "--skip-log-bin"])
            .args([format!("--port={port}"), format!("--socket={}", dir.path().join("s").display())])
            .args(as_root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let started = Self { child, port, _dir: dir };
        for _ in 0..600 {
            if Client::root(port).is_ok() {
                return Ok(started);
            }
            pause(std::time::Duration::from_millis(50));
        }
        Err("MariaDB does not start".into())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a real schema has: every type, keys of every kind, defaults, comments, names that need quotes, bytes that are no text, views on views.
const SAMPLE: &str = include_str!("../clients/sample.sql");

/// Each answers with all there is to compare.
const SAMPLE_QUERIES: &[&str] = &[
    "SELECT * FROM src.types ORDER BY id",
    "SELECT * FROM src.parent ORDER BY id",
    "SELECT * FROM src.child ORDER BY id",
    "SELECT * FROM src.nopk ORDER BY a, b",
    "SELECT * FROM src.`odd name;` ORDER BY 1",
    "SELECT * FROM src.v ORDER BY id",
    "SELECT * FROM src.v2 ORDER BY id",
    "SELECT * FROM src.`odd view` ORDER BY 1",
    "SELECT COUNT(*) FROM src.`empty`",
    "SELECT TABLE_NAME, TABLE_TYPE, AUTO_INCREMENT, IF(TABLE_TYPE = 'VIEW', '', TABLE_COMMENT) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'src' ORDER BY 1",
    "SELECT TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, COLUMN_KEY, COLUMN_COMMENT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'src' AND TABLE_NAME NOT LIKE '%v%' ORDER BY 1, 3",
    "SELECT TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, NON_UNIQUE, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'src' ORDER BY 1, 2, 3",
];

#[test]
fn a_dump_of_mariadb_loads_and_goes_on_to_another_server() {
    let needed = program(&["mariadb-dump", "mysqldump"], "mariadb-client")
        .and_then(|d| Ok((d, program(&["mariadb", "mysql"], "mariadb-client")?, MariaDb::start()?)));
    let (dump, cli, maria) = match needed {
        Ok(all) => all,
        Err(e) => return skip("mysqldump from MariaDB", &e),
    };
    let (first, second) = (Server::start(), Server::start());
    let dir = tempfile::tempdir().unwrap();
    let at = |port: u16| {
        vec![
            "--no-defaults".into(),
            "--host=127.0.0.1".into(),
            format!("--port={port}"),
            "--user=root".into(),
            "--default-character-set=utf8mb4".into(),
        ]
    };
    let load = |port: u16, file: &Path, more: &[&str]| {
        let out = Command::new(&cli).args(at(port)).args(more).stdin(std::fs::File::open(file).unwrap()).output().unwrap();
        assert!(out.status.success(), "{} does not load: {}", file.display(), String::from_utf8_lossy(&out.stderr));
    };
    let sample = dir.path().join("sample.sql");
    std::fs::write(&sample, SAMPLE).unwrap();
    load(maria.port, &sample, &[]);
    let answers = |port: u16| -> Vec<Vec<Vec<String>>> {
        let mut c = Client::root(port).unwrap();
        c.query("SET time_zone = '+00:00'").unwrap();
        SAMPLE_QUERIES.iter().map(|q| c.query(q).unwrap_or_else(|e| panic!("{q}: {e}")).texts()).collect()
    };
    let expected = answers(maria.port);
    // Out of MariaDB, into Weald; out of Weald, into another; and in again over what is there.
    let steps = [
        (maria.port, first.port, "one.sql", &["--databases", "src"][..]),
        (first.port, second.port, "two.sql", &["--single-transaction", "--hex-blob", "--databases", "src"]),
        (second.port, second.port, "three.sql", &["--skip-extended-insert", "--complete-insert", "--skip-lock-tables", "--databases", "src"]),
    ];
    for (from, to, name, how) in steps {
        let file = dir.path().join(name);
        run(Command::new(&dump).args(at(from)).arg(format!("--result-file={}", file.display())).args(how)).unwrap_or_else(|e| panic!("{e}"));
        // Foreign keys are not kept: that has to be asked for.
        load(to, &file, &["--init-command=SET ignore_foreign_keys = 1"]);
        for (query, (want, got)) in SAMPLE_QUERIES.iter().zip(expected.iter().zip(answers(to))) {
            assert_eq!(want, &got, "{query} after {name}");
        }
    }
    // Without asking, the first foreign key stops it.
    let third = Server::start();
    let out = Command::new(&cli).args(at(third.port)).stdin(std::fs::File::open(dir.path().join("one.sql")).unwrap()).output().unwrap();
    assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains("ERROR 1706"), "{out:?}");
}

#[test]
fn a_dump_goes_out_and_comes_back() {
    let (dump, cli) = match (program(&["mariadb-dump", "mysqldump"], "mariadb-client"), program(&["mariadb", "mysql"], "mariadb-client")) {
        (Ok(dump), Ok(cli)) => (dump, cli),
        (Err(e), _) | (_, Err(e)) => return skip("mysqldump", &e),
    };
    let server = Server::start();
    let mut c = server.connect().unwrap();
    for sql in [
        "CREATE DATABASE src",
        "CREATE DATABASE dst",
        "USE src",
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(50) NOT NULL DEFAULT 'x', d DECIMAL(8,2), b BLOB, at DATETIME(3), KEY ks (s)) COMMENT='it''s'",
        "CREATE TABLE empty_one (a INT, b ENUM('x','y'), c TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP)",
        "INSERT INTO t (s, d, b, at) VALUES ('it''s \\\\ \\n é', 1.25, X'00FF27', '2024-01-02 03:04:05.678'), ('', NULL, NULL, NULL)",
        "CREATE VIEW v AS SELECT id, s FROM t",
        "CREATE VIEW w AS SELECT s FROM v WHERE id IN (SELECT id FROM t WHERE d > 1)",
        // It writes the values of generated columns, too.
        "CREATE TABLE made (a INT PRIMARY KEY, twice INT AS (a * 2) STORED, next INT AS (a + 1) VIRTUAL)",
        "INSERT INTO made (a) VALUES (1), (20)",
    ] {
        c.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    let file = server.dir().with_extension("sql");
    let result = format!("--result-file={}", file.display());
    for extra in [&["--single-transaction"][..], &["--lock-tables=false", "--skip-extended-insert", "--complete-insert"]] {
        run(Command::new(&dump).args(host_args(&server)).args(extra).args([&result, "src"])).unwrap_or_else(|e| panic!("{e}"));
        let mut load = Command::new(&cli);
        load.args(host_args(&server)).arg("dst").stdin(std::fs::File::open(&file).unwrap());
        let out = load.output().unwrap();
        assert!(
            out.status.success(),
            "the dump does not load: {}\n{}",
            String::from_utf8_lossy(&out.stderr),
            std::fs::read_to_string(&file).unwrap()
        );
        let of = |c: &mut weald_tests::client::Client, db: &str| {
            let rows = c.query(&format!("SELECT id, s, d, HEX(b), at FROM {db}.t ORDER BY id")).unwrap().rows;
            let view = c.query(&format!("SELECT * FROM {db}.v ORDER BY id")).unwrap().rows;
            let over_view = c.query(&format!("SELECT * FROM {db}.w")).unwrap().rows;
            let made = c.query(&format!("SELECT * FROM {db}.made ORDER BY a")).unwrap().rows;
            c.query(&format!("USE {db}")).unwrap();
            let create: Vec<_> = ["t", "made", "v", "w"].map(|t| c.query(&format!("SHOW CREATE TABLE {t}")).unwrap().rows).into();
            (rows, view, over_view, made, create)
        };
        assert_eq!(of(&mut c, "src"), of(&mut c, "dst"));
        // A view that came along reads the tables that came along.
        c.query("DELETE FROM dst.t").unwrap();
        for view in ["v", "w"] {
            assert!(c.query(&format!("SELECT * FROM dst.{view}")).unwrap().rows.is_empty(), "{view}");
        }
    }
}

#[test]
fn sysbench_works() {
    let sysbench = match program(&["sysbench"], "sysbench") {
        Ok(sysbench) => sysbench,
        Err(e) => return skip("sysbench", &e),
    };
    let server = Server::start();
    server.connect().unwrap().query("CREATE DATABASE sbtest").unwrap();
    let bench = |mode: &str, command: &str| {
        run(Command::new(&sysbench)
            .args(["oltp_read_write", "--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-user=root", "--mysql-db=sbtest"])
            .args([
                &format!("--mysql-port={}", server.port),
                &format!("--db-ps-mode={mode}"),
                "--tables=2",
                "--table-size=1000",
                "--threads=4",
                "--time=2",
                command,
            ]))
        .unwrap_or_else(|e| panic!("sysbench {command}: {e}"))
    };
    bench("auto", "prepare");
    for mode in ["auto", "disable"] {
        let out = bench(mode, "run");
        let text = String::from_utf8_lossy(&out.stdout);
        let transactions = text.lines().find(|l| l.trim_start().starts_with("transactions:")).unwrap_or_default().to_string();
        assert!(!transactions.contains(" 0 "), "{text}");
        println!("db-ps-mode={mode} {transactions}");
    }
    let rows = server.connect().unwrap().query("SELECT COUNT(*) FROM sbtest.sbtest1").unwrap().first_int();
    assert_eq!(rows, 1000);
    bench("auto", "cleanup");
}
