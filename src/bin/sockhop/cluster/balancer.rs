//! nginx before the nodes, with the very file that is shipped for it.

use std::net::SocketAddr;
use std::path::Path;

use super::child::{self, Child, Group};
use super::node::Node;

const SHIPPED: &str = include_str!("../../../../deploy/nginx.conf");

/// Starts nginx for these nodes; what is below `/cluster/` goes to the control's address.
pub(super) fn start(
    listen: SocketAddr,
    nodes: &[Node],
    control: SocketAddr,
    group: &Group,
    folder: &Path,
) -> anyhow::Result<Child> {
    let addresses: Vec<_> = nodes.iter().map(Node::address).collect();
    let file = folder.join("nginx.conf");
    std::fs::write(&file, whole(&placed(SHIPPED, listen, &addresses, control), folder))?;
    let mut command = child::program("nginx", "nginx-light")?;
    command.arg("-p").arg(folder).arg("-e").arg(folder.join("nginx.log")).arg("-c").arg(&file);
    Child::start("nginx", command, group.id(), folder.join("nginx.log"))
}

/// The shipped file with other addresses, and with the way to the control.
fn placed(shipped: &str, listen: SocketAddr, nodes: &[String], control: SocketAddr) -> String {
    let mut text = String::new();
    let mut named = false;
    for line in shipped.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        match line.trim_start() {
            server if server.starts_with("server node") => {
                let servers = nodes.iter().map(|node| format!("{indent}server {node} max_fails=0;\n"));
                text.extend(servers.filter(|_| !named));
                named = true;
            }
            "listen 80;" => text += &format!("{indent}listen {listen};\n"),
            "location / {" => text += &format!("{}{line}\n", way_to(control)),
            _ => text += &format!("{line}\n"),
        }
    }
    text
}

/// Only this machine may come that way, and the control itself judges the rest.
fn way_to(control: SocketAddr) -> String {
    format!(
        "    location /cluster/ {{\n        allow 127.0.0.1;\n        allow ::1;\n        deny all;\n        \
         proxy_pass http://{control};\n        proxy_set_header Host $http_host;\n    }}\n\n"
    )
}

/// The whole file around the inside of its http block. One process, so that none is left behind when it is killed, and
/// none needs another user's rights.
fn whole(http: &str, folder: &Path) -> String {
    let folder = folder.display();
    let scratch: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log warn;\n\
         events {{\nworker_connections {CONNECTIONS};\n}}\nhttp {{\naccess_log off;\n{scratch}{http}}}\n"
    )
}

/// Connections of nginx; each client needs two.
pub(crate) const CONNECTIONS: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_gets_the_addresses_of_this_machine() {
        let nodes: Vec<String> = (1..=5).map(|number| format!("127.0.0.1:1000{number}")).collect();
        let [listen, control] = ["[::1]:8080", "127.0.0.1:9"].map(|address| address.parse().unwrap());
        let text = placed(SHIPPED, listen, &nodes, control);
        for node in &nodes {
            assert_eq!(text.matches(&format!("    server {node} max_fails=0;\n")).count(), 1, "{text}");
        }
        assert!(!text.contains("server node") && !text.contains("listen 80;"), "{text}");
        assert_eq!(text.matches("    listen [::1]:8080;\n").count(), 1, "{text}");
        assert!(text.contains("proxy_pass http://127.0.0.1:9;"), "{text}");
        // All else stands as it was.
        for line in SHIPPED.lines().filter(|line| !line.contains("server node") && !line.contains("listen 80")) {
            assert!(text.contains(line), "{line}");
        }
    }
}
