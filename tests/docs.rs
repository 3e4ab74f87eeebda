//! What README and `docs/` say, tried: commands are run, configurations checked, links followed. Their Rust code is
//! compiled by the doc tests.
#![cfg(feature = "bin")]

#[path = "support/redis.rs"]
mod redis_server;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn configurations_are_right() {
    let blocks = blocks("toml");
    assert!(!blocks.is_empty(), "the README shows a configuration");
    for block in blocks {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sockhop.toml");
        fs::write(&file, &block.text).expect("written");
        write_keys(folder.path());
        let checked = sockhop().arg("check").arg(&file).current_dir(folder.path()).output().expect("sockhop runs");
        assert!(checked.status.success(), "{block}\n{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn commands_that_start_a_server_start_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = blocks("toml").into_iter().next().expect("the README shows a configuration");
    fs::write(folder.path().join("sockhop.toml"), configuration.text).expect("written");
    write_keys(folder.path());
    let mut tried = 0;
    for (block, line) in command_lines() {
        let Some(invocation) = Invocation::parse(&line) else { continue };
        tried += 1;
        match invocation.arguments.first().map(String::as_str) {
            Some("check" | "--help" | "--version" | "help") => {
                let output = invocation.command(folder.path()).output().expect("sockhop runs");
                assert!(output.status.success(), "{line}\n{block}\n{}", String::from_utf8_lossy(&output.stderr));
            }
            _ if invocation.arguments.iter().any(|argument| argument == "--help") => {
                let output = invocation.command(folder.path()).output().expect("sockhop runs");
                assert!(output.status.success(), "{line}\n{block}\n{}", String::from_utf8_lossy(&output.stderr));
            }
            _ => invocation.starts_and_stops(folder.path()),
        }
    }
    assert!(tried >= 3, "the README shows how to start it");
}

#[test]
fn programs_and_paths_in_commands_are_there() {
    for (block, line) in command_lines() {
        let program = line.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default();
        if program.contains('/') {
            assert!(root().join(program).is_file(), "{program} of\n{block}");
        } else {
            assert!(["cargo", "docker", "sockhop", "npm", "node"].contains(&program), "{program} of\n{block}");
        }
    }
}

#[test]
fn nginx_takes_its_configurations() {
    let nginx = std::env::var("NGINX_BIN").unwrap_or_else(|_| "nginx".to_owned());
    if Command::new(&nginx).arg("-v").stderr(Stdio::null()).status().is_err() {
        skip("nginx is not installed, so its configurations were not tried");
        return;
    }
    let place = "deploy/nginx.conf".to_owned();
    let shipped = Block { text: read(&root().join(&place)), place };
    for block in blocks("nginx").into_iter().chain([shipped]) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display();
        // A port below 1024 is not everybody's to listen on, and the nodes' names are known to nobody here.
        let http = block.text.replace("listen 80;", &format!("listen unix:{path}/socket;"));
        let http = ["node1", "node2", "node3"].iter().fold(http, |http, node| http.replace(node, "127.0.0.1"));
        let scratch: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {path}/{kind};\n"))
            .concat();
        let whole = format!(
            "pid {path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{scratch}{http}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, whole).expect("written");
        let tested = Command::new(&nginx).arg("-t").arg("-e").arg("stderr").arg("-c").arg(&file).output();
        let tested = tested.expect("nginx runs");
        let said = String::from_utf8_lossy(&tested.stderr);
        assert!(tested.status.success() && !said.contains("[warn]"), "{block}\n{said}");
    }
}

#[test]
fn every_line_of_a_proxys_file_is_explained() {
    let text = read(&root().join("docs/deploy.md"));
    for (file, heading) in
        [("nginx.conf", "### nginx"), ("haproxy.cfg", "### HAProxy"), ("Caddyfile", "### Caddy")]
    {
        let (_, rest) = text.split_once(&format!("\n{heading}\n")).expect("its section");
        let section = rest.split("\n#").next().unwrap_or_default();
        let explained: Vec<&str> = section.split('`').skip(1).step_by(2).collect();
        for line in read(&root().join("deploy").join(file)).lines() {
            let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
            let is_explained = || explained.iter().any(|code| words.starts_with(code) && code.len() > 2);
            assert!(
                words.is_empty() || words == "}" || words.starts_with('#') || is_explained(),
                "{file}: {words}"
            );
        }
    }
}

#[test]
fn redis_takes_its_configurations_and_nodes_get_along_with_them() {
    let blocks = blocks("redis");
    assert!(!blocks.is_empty(), "docs/deploy.md shows how Redis is set");
    for block in blocks {
        let redis = redis_server::Redis::with(&block.text.lines().collect::<Vec<_>>());
        let user = block.text.lines().find_map(|line| line.strip_prefix("user sockhop on >"));
        let password = user.and_then(|rest| rest.split(' ').next()).expect("its user has a password");
        let mut command = sockhop();
        command.args(["serve", "--listen", "127.0.0.1:0", "--store"]);
        command.arg(format!("redis://sockhop:{password}@{}", redis.host()));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sockhop runs");
        let mut node = Running(child);
        let address = node.first_line().split_once("http://").expect("its address").1.trim_matches('/').to_owned();
        redis_server::until("the node is ready", || answers(&address, "/readyz").starts_with("HTTP/1.1 200"));
        assert!(node.terminate().success());
        let mut log = String::new();
        node.0.stderr.take().expect("piped").read_to_string(&mut log).expect("its log");
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{block}\n{log}");
    }
}

#[test]
fn examples_for_backends_talk_with_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = write_keys(folder.path());
    let mut command = sockhop();
    command.args(["serve", "--listen", "127.0.0.1:0", "--service", "/ws=stomp", "--api-path", "/api"]);
    command.args(["--api-keys", "api-keys"]).current_dir(folder.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("sockhop runs");
    let mut server = Running(child);
    let api = format!(
        "http://{}/api",
        server.first_line().split("http://").nth(1).expect("its address").trim_matches('/')
    );
    for (language, program, file, says) in [
        ("bash", &["bash", "-e"][..], "example.sh", "\"body\":\"7\""),
        ("python", &["python3"], "example.py", "\"state\": \"sold\""),
        ("mjs", &["node"], "example.mjs", "one two three"),
        ("java", &["java"], "Publish.java", "\"repeated\":false"),
    ] {
        let mut blocks = blocks(language);
        // The others are about hooks and lists, and run with Redis: see tests/redis/examples.rs.
        blocks.retain(|block| block.text.contains("SOCKHOP_API"));
        assert!(!blocks.is_empty(), "there is an example in {language}");
        for block in blocks {
            let file = folder.path().join(file);
            fs::write(&file, &block.text).expect("written");
            let mut example = Command::new(program[0]);
            example.args(&program[1..]).arg(&file).env("SOCKHOP_API", &api).env("SOCKHOP_KEY", &key);
            let Ok(output) = example.output() else {
                skip(&format!("{} is not installed, so its example was not run", program[0]));
                continue;
            };
            let said = String::from_utf8_lossy(&output.stdout);
            let complains = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains(says), "{block}\n{said}\n{complains}");
        }
    }
    assert!(server.terminate().success());
}

#[test]
fn the_options_table_says_what_the_help_says() {
    let table = options_in_readme();
    let help = options_in_help();
    assert!(help.len() > 20, "the help lists the options: {help:?}");
    for (name, option) in &help {
        let row = table.get(name).unwrap_or_else(|| panic!("--{name} is missing in README's table"));
        assert_eq!(row.value, option.value, "the value of --{name}");
        assert!(
            option.default.starts_with(&row.default) && row.default.is_empty() == option.default.is_empty(),
            "--{name}: the help says [default: {}], the README {}",
            option.default,
            row.default
        );
    }
    for name in table.keys() {
        assert!(help.contains_key(name), "--{name} of README's table does not exist");
    }
}

#[test]
fn every_option_has_the_same_name_in_the_environment() {
    for (name, option) in options_in_help() {
        let expected = format!("SOCKHOP_{}", name.to_uppercase().replace('-', "_"));
        assert_eq!(option.environment, expected, "--{name}");
    }
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        for (at, _) in document.text.match_indices("](") {
            let target = document.text[at + 2..].split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let folder = document.path.parent().expect("a document is in a folder");
            assert!(folder.join(path).exists(), "{} links to {path}", document.path.display());
        }
    }
}

#[test]
fn close_codes_in_the_readme_are_those_of_the_library() {
    use sockhop::CloseReason;

    let readme = read(&root().join("README.md"));
    for known in [
        CloseReason::NORMAL,
        CloseReason::CLIENT_GONE,
        CloseReason::INTERRUPTED,
        CloseReason::STILL_OPEN,
        CloseReason::BROKEN_FRAMING,
        CloseReason::NO_HEARTBEAT,
        CloseReason::INTERNAL_ERROR,
        CloseReason::TOO_SLOW,
        CloseReason::TOO_MANY_MESSAGES,
        CloseReason::MISSED_MESSAGES,
        CloseReason::GOING_AWAY,
    ] {
        let row = format!("| {} | {} |", known.code(), known.text());
        assert!(readme.contains(&row), "the README has no row {row}");
    }
}

/// A file of documentation.
struct Document {
    path: PathBuf,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README, CHANGELOG, and all of `docs/`.
fn documents() -> Vec<Document> {
    let docs = fs::read_dir(root().join("docs")).expect("docs/ is there");
    let mut paths: Vec<_> = docs.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.extend(["README.md", "CHANGELOG.md"].map(|name| root().join(name)));
    paths.into_iter().map(|path| Document { text: read(&path), path }).collect()
}

/// A fenced block of a document.
struct Block {
    place: String,
    text: String,
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:\n{}", self.place, self.text)
    }
}

/// All blocks of a language, the README's first.
fn blocks(language: &str) -> Vec<Block> {
    let mut found = Vec::new();
    for document in documents().into_iter().rev() {
        let mut open: Option<(String, Block)> = None;
        for (index, line) in document.text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(info), None) => {
                    let place = format!("{}:{}", document.path.display(), index + 1);
                    open = Some((info.trim().to_owned(), Block { place, text: String::new() }));
                }
                (Some(_), Some(_)) => found.extend(open.take()),
                (None, Some((_, block))) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", document.path.display());
    }
    found.into_iter().filter(|(info, _)| info == language).map(|(_, block)| block).collect()
}

/// Writes the keys that the documents show, as the file that commands and configurations name; one of them.
fn write_keys(folder: &Path) -> String {
    let keys = blocks("keys").into_iter().next().expect("docs/backend.md shows a file of keys");
    fs::write(folder.join("api-keys"), &keys.text).expect("written");
    let line = keys.text.lines().find(|line| line.starts_with("shop ")).expect("a key is written out");
    line.split_whitespace().last().expect("a key").to_owned()
}

/// The lines of all blocks of commands.
fn command_lines() -> Vec<(Block, String)> {
    let mut lines = Vec::new();
    for block in blocks("sh") {
        for line in block.text.lines() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            if !line.is_empty() {
                let block = Block { place: block.place.clone(), text: block.text.clone() };
                lines.push((block, line.to_owned()));
            }
        }
    }
    lines
}

fn sockhop() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockhop"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SOCKHOP_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a server answers to a GET, head and all; nothing if it does not.
fn answers(address: &str, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut connection) = TcpStream::connect(address) {
        let asked = write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let read = asked.and_then(|()| connection.read_to_string(&mut answer));
        read.unwrap_or_default();
    }
    answer
}

/// A command line that runs sockhop.
struct Invocation {
    line: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Invocation {
    /// None if it runs something else. Nothing is quoted in our documents.
    fn parse(line: &str) -> Option<Self> {
        assert!(!line.contains(['\'', '"', '\\', '|', '$', ';']), "too clever for this test: {line}");
        let mut words = line.split_whitespace().peekable();
        let mut environment = Vec::new();
        while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
            environment.push((name.to_owned(), value.to_owned()));
            words.next();
        }
        let arguments: Vec<String> = match words.next()? {
            "sockhop" => words.map(str::to_owned).collect(),
            "cargo" if words.next_if_eq(&"run").is_some() => {
                let (cargos, ours): (Vec<_>, Vec<_>) = {
                    let all: Vec<_> = words.collect();
                    let at = all.iter().position(|word| *word == "--").unwrap_or(all.len());
                    (all[..at].to_vec(), all.iter().skip(at + 1).map(|word| (*word).to_owned()).collect())
                };
                if cargos.iter().any(|word| *word != "--release") {
                    return None;
                }
                ours
            }
            _ => return None,
        };
        Some(Self { line: line.to_owned(), environment, arguments })
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = sockhop();
        command.args(&self.arguments).envs(self.environment.iter().cloned()).current_dir(folder);
        command
    }

    /// Runs it, on any free port and with a Redis of its own if it wants one, until it says that it listens; then it must end in order.
    fn starts_and_stops(&self, folder: &Path) {
        let mut arguments = self.arguments.clone();
        if let Some(at) = arguments.iter().position(|argument| argument == "--listen") {
            arguments.drain(at..at + 2);
        }
        // After the command, before what `--` hands on.
        let at = usize::from(arguments.first().is_some_and(|first| !first.starts_with('-')));
        arguments.splice(at..at, ["--listen", "127.0.0.1:0"].map(str::to_owned));
        let wants_redis = |argument: &String| argument.starts_with("redis://");
        let redis = arguments.iter().any(wants_redis).then(redis_server::Redis::start);
        for argument in arguments.iter_mut().filter(|argument| wants_redis(argument)) {
            *argument = redis.as_ref().map(redis_server::Redis::url).unwrap_or_default();
        }
        let free_port = Self { line: self.line.clone(), environment: self.environment.clone(), arguments };
        let mut command = free_port.command(folder);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("sockhop runs");
        let mut running = Running(child);
        let first = running.first_line();
        assert!(first.contains("listening on http://127.0.0.1:"), "{}\nsaid {first:?}", self.line);
        let status = running.terminate();
        assert!(status.success(), "{}\nended with {status}", self.line);
    }
}

/// A server, killed when dropped.
struct Running(Child);

impl Running {
    fn first_line(&mut self) -> String {
        let out = self.0.stdout.take().expect("piped");
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(out).lines();
            // Whoever asked may have given up.
            let _ = send.send(lines.next());
            // The rest is read, so that the server never meets a closed pipe.
            lines.for_each(drop);
        });
        match receive.recv_timeout(PATIENCE) {
            Ok(Some(Ok(line))) => line,
            Ok(_) => String::new(),
            Err(_) => panic!("no word within {PATIENCE:?}"),
        }
    }

    fn terminate(&mut self) -> ExitStatus {
        let killed = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill runs");
        assert!(killed.success(), "it is still there to be told");
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.0.try_wait().expect("it is our child") {
                Some(status) => return status,
                None if Instant::now() > deadline => panic!("it did not end within {PATIENCE:?}"),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug, Default)]
struct Described {
    /// What stands for its value; empty for booleans.
    value: String,
    default: String,
    environment: String,
}

/// The rows between the README's `options` comments.
fn options_in_readme() -> BTreeMap<String, Described> {
    let readme = read(&root().join("README.md"));
    let (_, rest) = readme.split_once("<!-- options -->").expect("the table begins");
    let (table, _) = rest.split_once("<!-- /options -->").expect("the table ends");
    let mut options = BTreeMap::new();
    for row in table.lines() {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let (Some(option), Some(default)) = (cells.next(), cells.next()) else { continue };
        let Some(option) = option.strip_prefix("`--").and_then(|option| option.strip_suffix('`')) else {
            continue;
        };
        let (name, value) = option.split_once(' ').unwrap_or((option, ""));
        let default = default.trim_matches(|letter| letter == '`' || letter == '–').to_owned();
        let described = Described { value: value.to_owned(), default, environment: String::new() };
        assert!(options.insert(name.to_owned(), described).is_none(), "--{name} stands twice in the table");
    }
    options
}

/// What `sockhop serve --help` lists, but for the help itself.
fn options_in_help() -> BTreeMap<String, Described> {
    let output = sockhop().args(["serve", "--help"]).output().expect("sockhop runs");
    let help = String::from_utf8(output.stdout).expect("its help is text");
    let mut options: BTreeMap<String, Described> = BTreeMap::new();
    let mut current = None;
    let mut text = String::new();
    for line in help.lines().chain(["  --end"]) {
        let Some(option) = line.trim_start().strip_prefix("--").filter(|_| line.starts_with("  ")) else {
            text += line.trim();
            text.push(' ');
            continue;
        };
        if let Some((name, value)) = current.take() {
            let within = |start: &str| {
                let rest = text.split_once(start).map_or("", |(_, rest)| rest);
                rest.split(']').next().unwrap_or_default().to_owned()
            };
            let environment = within("[env: ").trim_end_matches('=').to_owned();
            options.insert(name, Described { value, default: within("[default: "), environment });
        }
        text.clear();
        let (name, value) = option.split_at(option.find([' ', '[']).unwrap_or(option.len()));
        // A value that may be left out is a boolean's.
        let value = if value.starts_with('[') { "" } else { value.trim().trim_matches(['<', '>']) };
        current = Some((name.to_owned(), value.to_owned()));
    }
    options
}

#[allow(clippy::print_stderr, reason = "a test that says why it did not run")]
fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}
