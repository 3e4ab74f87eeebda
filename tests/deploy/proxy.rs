//! The proxies, each with its file of `deploy/`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::nodes::Process;
use crate::redis_server::{free_port, until};
use crate::server::Server;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    HaProxy,
    Caddy,
}

/// A running proxy, gone when dropped.
pub(crate) struct Proxy {
    port: u16,
    folder: TempDir,
    process: Option<Process>,
}

impl Proxy {
    /// Starts it before the nodes at these ports; `edit` may change its file.
    pub(crate) fn start(kind: Kind, nodes: [u16; 3], edit: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut proxy = Self { port: free_port(), folder, process: None };
        let shipped = fs::read_to_string(shipped(kind)).expect("the proxy's file");
        let text = edit(proxy.placed(kind, &shipped, nodes));
        let command = proxy.command(kind, text);
        let address = proxy.server().address;
        proxy.process = Some(Process::start(command));
        until("the proxy listens", || {
            let ended = proxy.process.as_mut().is_none_or(|process| process.ended().is_some());
            assert!(!ended, "the proxy ended:\n{}", proxy.log());
            std::net::TcpStream::connect(address).is_ok()
        });
        proxy
    }

    pub(crate) fn server(&self) -> Server {
        Server::at(self.port)
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its file with the addresses of this test in place of those that it ships with.
    fn placed(&self, kind: Kind, shipped: &str, nodes: [u16; 3]) -> String {
        let mut text = shipped.to_owned();
        for (number, port) in nodes.into_iter().enumerate() {
            text = exchange(&text, &format!("node{}:8081", number + 1), &format!("127.0.0.1:{port}"));
        }
        let (from, to) = match kind {
            Kind::Nginx => ("listen 80;", format!("listen 127.0.0.1:{};", self.port)),
            Kind::HaProxy => ("bind :80", format!("bind 127.0.0.1:{}", self.port)),
            Kind::Caddy => (":80 {", format!("{{\n\tadmin off\n}}\n\n:{} {{\n\tbind 127.0.0.1", self.port)),
        };
        exchange(&text, from, &to)
    }

    fn command(&self, kind: Kind, text: String) -> Command {
        let folder = self.folder.path();
        let (program, text) = match kind {
            Kind::Nginx => ("nginx", around_nginx(folder, &text)),
            Kind::HaProxy => ("haproxy", text),
            Kind::Caddy => ("caddy", text),
        };
        let file = folder.join("configuration");
        fs::write(&file, text).expect("written");
        let log = fs::File::create(folder.join("log")).expect("a log");
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => command.arg("-p").arg(folder).args(["-e", "stderr", "-c"]).arg(&file),
            Kind::HaProxy => command.args(["-db", "-f"]).arg(&file),
            Kind::Caddy => {
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
                command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder)
            }
        };
        // Debian keeps servers where not everybody looks for programs.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin"));
        command.stdout(Stdio::null()).stderr(log);
        command
    }
}

/// The file that is shipped for a proxy.
pub(crate) fn shipped(kind: Kind) -> std::path::PathBuf {
    let name = match kind {
        Kind::Nginx => "nginx.conf",
        Kind::HaProxy => "haproxy.cfg",
        Kind::Caddy => "Caddyfile",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// Puts one text in the place of another, which must be there.
pub(crate) fn exchange(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in\n{text}");
    text.replace(from, to)
}

/// What nginx needs around the inside of its http block, to run in a folder of its own.
fn around_nginx(folder: &Path, http: &str) -> String {
    let folder = folder.display();
    let scratch: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .concat();
    // Workers of root would be another user's, who may not write here.
    let user = if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        "user root;\n"
    } else {
        ""
    };
    format!(
        "daemon off;\nworker_processes 1;\n{user}pid {folder}/pid;\nerror_log stderr;\n\
         events {{\nworker_connections 1024;\n}}\nhttp {{\naccess_log off;\n{scratch}{http}\n}}\n"
    )
}
