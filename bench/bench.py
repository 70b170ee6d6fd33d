"""Weald beside MariaDB on one machine. Started by run.sh; see README.md for what is measured and how."""
import argparse, glob, json, os, pathlib, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")
CLI = shutil.which("mariadb") or shutil.which("mysql")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    # After the name in parentheses: field 14 and 15 of proc(5) are utime and stime.
    rest = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(rest[11]) + int(rest[12])) / TICK


def rss_bytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) * 1024


class Server:
    """A private server process on its own port and directory."""

    def __init__(self, name, work):
        self.name, self.dir, self.port, self.process = name, os.path.join(work, name), free_port(), None

    def pids(self):
        """Of everything that serves queries: their processor time is the server's."""
        return [self.process.pid]

    def cpu(self):
        return sum(cpu_seconds(pid) for pid in self.pids())

    def start(self, probe="SELECT 1", expect=None):
        """Seconds until the server answers."""
        self.launch()
        return self.answers(probe, expect)

    def launch(self):
        self.log, self.launched = open(self.dir + ".log", "ab"), time.monotonic()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def answers(self, probe, expect=None):
        """Seconds from the launch until the server answers `probe`; until it answers it with `expect`, if that is given."""
        while True:
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended at once, see {self.dir}.log:\n{open(self.dir + '.log', errors='replace').read()[-2000:]}")
            try:
                answer = self.sql(probe)
                if expect is None or answer == expect:
                    return time.monotonic() - self.launched
            except RuntimeError as e:
                answer = e
            if time.monotonic() > self.launched + 300:
                sys.exit(f"{self.name} does not answer as it should: {answer}")
            time.sleep(0.02)

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def args(self):
        return ["--no-defaults", "--host=127.0.0.1", f"--port={self.port}", "--user=root"]

    def sql(self, text, database=None, timeout=600, extra=()):
        r = subprocess.run([CLI, *self.args(), "--batch", "--skip-column-names", *extra, *([database] if database else [])], input=text, capture_output=True, text=True, timeout=timeout)
        if r.returncode:
            raise RuntimeError(r.stderr.strip())
        return r.stdout


class Weald(Server):
    def __init__(self, name, work, binary=None):
        super().__init__(name, work)
        self.binary = binary or os.environ["WEALD_BIN"]

    def command(self):
        return [self.binary, "dev", "--data-dir", self.dir, "--mysql-port", str(self.port), "--http-port", str(free_port())]


class MariaDb(Server):
    def __init__(self, name, work, pool, log="1G"):
        super().__init__(name, work)
        self.pool, self.log_size = pool, log
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.dir}", "--auth-root-authentication-method=normal", *self.user()], check=True, capture_output=True)

    def user(self):
        return ["--user=root"] if os.getuid() == 0 else []

    def command(self):
        daemon = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        return [daemon, "--no-defaults", f"--datadir={self.dir}", f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self.dir}.sock", f"--innodb-buffer-pool-size={self.pool}",
                "--innodb-flush-log-at-trx-commit=1", f"--innodb-log-file-size={self.log_size}", "--max-connections=300", "--local-infile=1", "--skip-log-bin", "--character-set-server=utf8mb4", *self.user()]


def sysbench(server, test, options, threads, seconds, mode, command):
    return sysbench_raw(server, test, "sbtest", threads, seconds, [f"--tables={options.tables}", f"--table-size={options.rows}", f"--db-ps-mode={mode}"], command)


def sysbench_raw(server, test, database, threads, seconds, args, command="run", percentile=95):
    args = ["sysbench", test, "--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={server.port}", "--mysql-user=root", f"--mysql-db={database}", f"--threads={threads}", f"--time={seconds}",
            "--report-interval=0", f"--percentile={percentile}", "--rand-type=uniform", "--mysql-ignore-errors=1213,1020,1205,1062", *args, command]
    r = subprocess.run(args, capture_output=True, text=True, timeout=seconds + 900)
    if r.returncode:
        raise RuntimeError((r.stdout + r.stderr)[-1500:])
    return r.stdout


def oltp_once(server, test, options, threads, mode):
    before = server.cpu()
    text = sysbench(server, test, options, threads, options.seconds, mode, "run")
    cpu = server.cpu() - before
    queries = int(re.search(r"queries:\s+(\d+)", text).group(1))
    return {"qps": float(re.search(r"queries:\s+\d+\s+\(([\d.]+)", text).group(1)), "tps": float(re.search(r"transactions:\s+\d+\s+\(([\d.]+)", text).group(1)),
            "p95_ms": float(re.search(r"95th percentile:\s+([\d.]+)", text).group(1)), "cpu_us": cpu / max(queries, 1) * 1e6, "queries": queries, "errors": int(re.search(r"ignored errors:\s+(\d+)", text).group(1))}


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def interleaved(servers, repeat, once, what):
    """`repeat` runs of each server: what `once` gives, by name. In turn first: drift of the machine meets all."""
    runs = {s.name: [] for s in servers}
    for n in range(repeat):
        at = n % len(servers)
        for s in servers[at:] + servers[:at]:
            try:
                runs[s.name].append(once(s))
            except (RuntimeError, subprocess.TimeoutExpired) as e:
                print(f"<!-- {s.name} {what}: {e} -->", flush=True)
    return runs


def oltp(servers, options, results):
    print("\n## sysbench\n\n| test | threads | protocol | MariaDB q/s | Weald q/s | ratio | MariaDB CPU µs/q | Weald CPU µs/q | ratio | p95 ms (M / W) |\n|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for s in servers:
        s.sql("CREATE DATABASE sbtest")
        s.rss_empty = rss_bytes(s.process.pid)
        sysbench(s, "oltp_read_write", options, min(4, options.tables), 1, "auto", "prepare")
        s.rss_full = rss_bytes(s.process.pid)
    for test in options.tests:
        for mode, protocol in (("auto", "prepared"), ("disable", "text")):
            for threads in options.threads:
                runs = interleaved(servers, options.repeat, lambda s: oltp_once(s, test, options, threads, mode), f"{test} {threads}")
                results["oltp"].append({"test": test, "protocol": protocol, "threads": threads, "runs": runs})
                if all(runs.values()):
                    m, w = runs["mariadb"], runs["weald"]
                    f = lambda k: (median(m, k), median(w, k))
                    (mq, wq), (mc, wc), (mp, wp) = f("qps"), f("cpu_us"), f("p95_ms")
                    print(f"| {test} | {threads} | {protocol} | {mq:,.0f} | {wq:,.0f} | {wq / mq:.2f} | {mc:.1f} | {wc:.1f} | {wc / mc:.2f} | {mp:.2f} / {wp:.2f} |", flush=True)
                else:
                    print(f"| {test} | {threads} | {protocol} | {'failed' if not runs['mariadb'] else ''} | {'failed' if not runs['weald'] else ''} | | | | | |", flush=True)


def memory_and_restart(servers, options, results):
    rows = options.tables * options.rows
    print("\n## Memory and restart\n\n| | MariaDB | Weald |\n|---|---|---|")
    line = {"bytes a sysbench row": [], "restart after kill -9, s": []}
    for s in servers:
        line["bytes a sysbench row"].append(f"{(s.rss_full - s.rss_empty) / rows:.0f}")
        s.stop(signal.SIGKILL)
        s.start_after_kill = s.start("SELECT COUNT(*) FROM sbtest.sbtest1")
        count = int(s.sql("SELECT COUNT(*) FROM sbtest.sbtest1").split()[0])
        line["restart after kill -9, s"].append(f"{s.start_after_kill:.2f} ({count:,} rows in sbtest1)")
    line["empty start, s"] = [f"{s.empty_start:.2f}" for s in servers]
    line["empty RSS, MB"] = [f"{s.empty_rss / 1e6:.0f}" for s in servers]
    for name, values in line.items():
        print(f"| {name} | {' | '.join(values)} |")
    results["other"] = line


def tpch_data(work, scale):
    out = os.path.join(work, "tpch")
    tool = shutil.which("tpchgen-cli") or os.path.join(HERE, "..", "target", "tpch-venv", "bin", "tpchgen-cli")
    if not os.path.exists(tool):
        venv = os.path.dirname(os.path.dirname(tool))
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([os.path.join(venv, "bin", "pip"), "install", "--quiet", "tpchgen-cli"], check=True)
    subprocess.run([tool, "--scale-factor", str(scale), "--output-dir", out], check=True, capture_output=True)
    return out


def tpch_queries():
    return [q.strip() for q in (HERE / "tpch" / "queries.sql").read_text().split(";\n") if q.strip()]


def tpch_load(s, data):
    """Seconds for lineitem."""
    s.sql("DROP DATABASE IF EXISTS tpch; CREATE DATABASE tpch")
    s.sql((HERE / "tpch" / "schema.sql").read_text(), "tpch")
    for table in ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"):
        files = glob.glob(os.path.join(data, f"{table}.tbl")) + glob.glob(os.path.join(data, table, "*.tbl"))
        began = time.monotonic()
        for f in files:
            s.sql(f"LOAD DATA LOCAL INFILE '{f}' INTO TABLE {table} FIELDS TERMINATED BY '|' LINES TERMINATED BY '\\n'", "tpch", timeout=1800, extra=["--local-infile=1"])
        took = time.monotonic() - began
    s.lines = int(s.sql("SELECT COUNT(*) FROM lineitem", "tpch").split()[0])
    try:
        s.sql("ANALYZE TABLE lineitem, orders, customer, part, partsupp, supplier, nation, region", "tpch")
    except RuntimeError as e:
        print(f"<!-- {s.name}: {e} -->")
    return took


def tpch(servers, options, results, work):
    if not options.scale:
        return
    data = tpch_data(work, options.scale)
    queries = tpch_queries()
    times = {s.name: [] for s in servers}
    answers = {s.name: [] for s in servers}
    print(f"\n## TPC-H, scale factor {options.scale}\n\n| | MariaDB s | Weald s | ratio |\n|---|---|---|---|")

    def row(name, a, b):
        f = lambda x: f"{x:.2f}" if isinstance(x, float) else x
        ratio = f"{b / a:.2f}" if isinstance(a, float) and isinstance(b, float) and a > 0 else ""
        print(f"| {name} | {f(a)} | {f(b)} | {ratio} |", flush=True)

    loads = {s.name: tpch_load(s, data) for s in servers}
    row(f"LOAD DATA lineitem ({servers[0].lines:,} rows; Weald {servers[1].lines:,})", loads["mariadb"], loads["weald"])
    for n, q in enumerate(queries, 1):
        took = {}
        for s in servers:
            best = None
            try:
                for _ in range(options.tpch_repeat):
                    began = time.monotonic()
                    answer = s.sql(q + ";", "tpch", timeout=options.tpch_timeout)
                    t = time.monotonic() - began
                    best = t if best is None else min(best, t)
                answers[s.name].append(answer)
            except subprocess.TimeoutExpired:
                best = f"over {options.tpch_timeout}"
                answers[s.name].append(None)
                # The client is gone, the statement may not be: start afresh.
                s.stop(signal.SIGKILL)
                s.start()
            except RuntimeError as e:
                best = "error"
                answers[s.name].append(None)
                print(f"<!-- {s.name} Q{n}: {e} -->")
            took[s.name] = best
            times[s.name].append(best)
        same = answers["mariadb"][-1] == answers["weald"][-1] or None in (answers["mariadb"][-1], answers["weald"][-1])
        row(f"Q{n}{'' if same else ' (answers differ)'}", took["mariadb"], took["weald"])
    both = [(a, b) for a, b in zip(times["mariadb"], times["weald"]) if isinstance(a, float) and isinstance(b, float)]
    if both:
        row(f"sum of the {len(both)} that both answered", sum(a for a, _ in both), sum(b for _, b in both))
    results["tpch"] = {"scale": options.scale, "load_s": loads, "query_s": times, "answers": answers}


def machine_now():
    cpu = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())
    machine = {"cpus": os.cpu_count(), "model": cpu.group(1) if cpu else "?", "load_before": os.getloadavg()[0], "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    print(f"{machine['cpus']} CPUs ({machine['model']}), load {machine['load_before']:.2f} before; client and server share them: compare columns, not absolutes.")
    return machine


def keep(results, suffix=""):
    (HERE / "results").mkdir(exist_ok=True)
    out = HERE / "results" / f"{results['machine']['at'].replace(':', '')}{suffix}.json"
    out.write_text(json.dumps(results, indent=1))
    print(f"\nraw: {out}")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seconds", type=int, default=10, help="of each sysbench run")
    p.add_argument("--repeat", type=int, default=3, help="runs of each, interleaved; the median counts")
    p.add_argument("--tables", type=int, default=4)
    p.add_argument("--rows", type=int, default=100_000, help="a table")
    p.add_argument("--threads", type=lambda s: [int(n) for n in s.split(",")], default=[1, 16, 64])
    p.add_argument("--tests", type=lambda s: s.split(","), default=["oltp_point_select", "oltp_read_only", "oltp_read_write", "oltp_update_index", "oltp_insert", "oltp_write_only"])
    p.add_argument("--scale", type=float, default=0.1, help="TPC-H scale factor; 0 leaves TPC-H out")
    p.add_argument("--tpch-repeat", type=int, default=2, help="runs of each query; the best counts")
    p.add_argument("--tpch-timeout", type=int, default=60, help="seconds for one query")
    p.add_argument("--pool", default="4G", help="MariaDB's buffer pool; must be larger than the data")
    p.add_argument("--quick", action="store_true", help="2 s, one run each, 10,000 rows, scale 0.01")
    options = p.parse_args()
    if options.quick:
        options.seconds, options.repeat, options.rows, options.scale = 2, 1, 10_000, min(options.scale, 0.01)
    work = tempfile.mkdtemp(prefix="weald-bench-")
    servers = [MariaDb("mariadb", work, options.pool), Weald("weald", work)]
    machine = machine_now()
    results = {"machine": machine, "options": vars(options), "oltp": []}
    try:
        for s in servers:
            s.empty_start = s.start()
            s.empty_rss = rss_bytes(s.process.pid)
        results["versions"] = {s.name: s.sql("SELECT VERSION()").strip() for s in servers}
        oltp(servers, options, results)
        memory_and_restart(servers, options, results)
        tpch(servers, options, results, work)
    finally:
        for s in servers:
            s.stop()
        keep(results)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
