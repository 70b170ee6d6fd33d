//! Unmodified clients against the server. What cannot be installed here is skipped by name, with the reason, never silently.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use weald_tests::server::{Server, build_dir};

const PYTHON: &[&str] = &["PyMySQL==1.1.1", "mysql-connector-python==9.1.0", "SQLAlchemy==2.0.36", "Django==4.2.16"];
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

/// A virtual environment under `target`, filled once.
fn python() -> Result<&'static Path, String> {
    static VENV: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    VENV.get_or_init(|| {
        let dir = build_dir().join("clients-python");
        let python = dir.join("bin/python");
        let done = dir.join("installed");
        let wanted = PYTHON.join("\n");
        if std::fs::read_to_string(&done).is_ok_and(|d| d == wanted) {
            return Ok(python);
        }
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "30"])
            .args(PYTHON))?;
        std::fs::write(done, wanted).map_err(|e| e.to_string())?;
        Ok(python)
    })
    .as_deref()
    .map_err(Clone::clone)
}

fn check_python(client: &str, file: &str) {
    let python = match python() {
        Ok(p) => p,
        Err(e) => return skip(client, &e),
    };
    let server = Server::start();
    if let Err(e) = run(Command::new(python).arg(script(file)).arg(server.port.to_string())) {
        panic!("{client}: {e}");
    }
}

#[test]
fn pymysql_works() {
    check_python("PyMySQL", "pymysql_smoke.py");
}

#[test]
fn mysql_connector_python_works() {
    check_python("mysql-connector-python", "connector_smoke.py");
}

#[test]
fn sqlalchemy_works() {
    check_python("SQLAlchemy", "sqlalchemy_smoke.py");
}

#[test]
fn django_works() {
    check_python("Django", "django_smoke.py");
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
    let Some(cli) = installed(&["mariadb", "mysql"]) else { return skip("mysql", "neither mariadb nor mysql is installed") };
    let server = Server::start();
    let sql = "CREATE DATABASE cli; USE cli; CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(10)); INSERT INTO t VALUES (1,'a'),(2,NULL); SELECT * FROM t ORDER BY id; STATUS; DELETE FROM t; SELECT COUNT(*) FROM t;";
    let out = run(Command::new(cli).args(host_args(&server)).args(["--batch", "-e", sql])).unwrap_or_else(|e| panic!("{e}"));
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("id\ts\n1\ta\n2\tNULL\n"), "{text}");
    assert!(text.contains("COUNT(*)\n0\n"), "{text}");
}

#[test]
fn a_dump_goes_out_and_comes_back() {
    let Some(dump) = installed(&["mariadb-dump", "mysqldump"]) else { return skip("mysqldump", "neither mariadb-dump nor mysqldump is installed") };
    let Some(cli) = installed(&["mariadb", "mysql"]) else { return skip("mysqldump", "neither mariadb nor mysql is installed") };
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
            let create = c.query(&format!("SHOW CREATE TABLE {db}.t")).unwrap().rows;
            (rows, view, create)
        };
        assert_eq!(of(&mut c, "src"), of(&mut c, "dst"));
    }
}

#[test]
fn sysbench_works() {
    let Some(sysbench) = installed(&["sysbench"]) else { return skip("sysbench", "it is not installed") };
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
