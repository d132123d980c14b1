//! What each proxy is told: TLS and HTTP/2 on one port of the loopback interface, plaintext HTTP/2
//! to a server behind it. Timeouts are left to the callers, bodies have no limit.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Where a proxy stands.
pub(crate) struct Place<'a> {
    /// For its files.
    pub(crate) folder: &'a Path,
    /// Where it listens: 127.0.0.1.
    pub(crate) port: u16,
    /// HOST:PORT of the server.
    pub(crate) server: &'a str,
    /// With server.pem and server.key.
    pub(crate) certificates: &'a Path,
}

impl Place<'_> {
    /// nginx.conf. Everything that nginx would write elsewhere is in the folder.
    pub(crate) fn nginx(&self) -> Result<PathBuf> {
        let Self { port, server, .. } = self;
        let folder = self.folder.display();
        let certificates = self.certificates.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
            .collect();
        // `user` keeps workers of root able to read the folder; others are only warned about it.
        self.write(
            "nginx.conf",
            &format!(
                "user root;\n\
                 worker_processes 1;\n\
                 pid {folder}/pid;\n\
                 error_log stderr warn;\n\
                 events {{ worker_connections 256; }}\n\
                 http {{\n\
                 {temporary}\
                 \x20   access_log off;\n\
                 \x20   upstream behind {{ server {server}; keepalive 4; }}\n\
                 \x20   server {{\n\
                 \x20       listen 127.0.0.1:{port} ssl http2;\n\
                 \x20       ssl_certificate {certificates}/server.pem;\n\
                 \x20       ssl_certificate_key {certificates}/server.key;\n\
                 \x20       client_max_body_size 0;\n\
                 \x20       location / {{ grpc_pass grpc://behind; }}\n\
                 \x20   }}\n\
                 }}\n"
            ),
        )
    }

    /// haproxy.cfg.
    pub(crate) fn haproxy(&self) -> Result<PathBuf> {
        let read = |file: &str| {
            let path = self.certificates.join(file);
            fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        let both = self.write("both.pem", &(read("server.pem")? + &read("server.key")?))?;
        let (both, Self { port, server, .. }) = (both.display(), self);
        self.write(
            "haproxy.cfg",
            &format!(
                "global\n\
                 \x20   hard-stop-after 30s\n\
                 defaults\n\
                 \x20   mode http\n\
                 \x20   timeout connect 5s\n\
                 \x20   timeout client 60s\n\
                 \x20   timeout server 60s\n\
                 listen grpc\n\
                 \x20   bind 127.0.0.1:{port} ssl crt {both} alpn h2\n\
                 \x20   server behind {server} proto h2\n"
            ),
        )
    }

    /// envoy.json, and listeners.json beside it, which `envoy_reload` replaces.
    pub(crate) fn envoy(&self) -> Result<PathBuf> {
        let (host, port) = self.server.rsplit_once(':').context("the address has a port")?;
        let port: u16 = port.parse().context("the address has a port")?;
        let listeners = self.folder.join("listeners.json");
        self.envoy_listeners(&listeners, 0)?;
        let http2 = json!({ "explicit_http_config": { "http2_protocol_options": {} } });
        let cluster = json!({
            "name": "behind",
            "type": "STATIC",
            "connect_timeout": "5s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                    "upstreams.http.v3.HttpProtocolOptions",
                    http2,
                ),
            },
            "load_assignment": {
                "cluster_name": "behind",
                "endpoints": [{ "lb_endpoints": [{ "endpoint": address(host, port) }] }],
            },
        });
        let bootstrap = json!({
            "node": { "id": "interop", "cluster": "interop" },
            "static_resources": { "clusters": [cluster] },
            "dynamic_resources": {
                "lds_config": {
                    "resource_api_version": "V3",
                    "path_config_source": {
                        "path": listeners,
                        "watched_directory": { "path": self.folder },
                    },
                },
            },
        });
        self.write("envoy.json", &bootstrap.to_string())
    }

    /// Another generation of the listener. Envoy sees files that are moved into place.
    pub(crate) fn envoy_reload(&self, generation: usize) -> Result<()> {
        let new = self.folder.join("listeners.new");
        self.envoy_listeners(&new, generation)?;
        fs::rename(&new, self.folder.join("listeners.json"))?;
        Ok(())
    }

    fn envoy_listeners(&self, path: &Path, generation: usize) -> Result<()> {
        let file = |name: &str| json!({ "filename": self.certificates.join(name) });
        let tls = json!({
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_certificates": [
                    { "certificate_chain": file("server.pem"), "private_key": file("server.key") },
                ],
            },
        });
        // Envoy's own deadline is RST_STREAM(INTERNAL_ERROR): the ends have better words for it.
        let route = json!({ "cluster": "behind", "timeout": "0s" });
        let manager = json!({
            "stat_prefix": format!("generation_{generation}"),
            "codec_type": "HTTP2",
            "drain_timeout": "1s",
            "route_config": {
                "virtual_hosts": [{
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{ "match": { "prefix": "/" }, "route": route }],
                }],
            },
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": typed("filters.http.router.v3.Router", json!({})),
            }],
        });
        let mut listener = address("127.0.0.1", self.port);
        listener["name"] = "grpc".into();
        listener["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener".into();
        listener["filter_chains"] = json!([{
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": typed("transport_sockets.tls.v3.DownstreamTlsContext", tls),
            },
            "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": typed(
                    "filters.network.http_connection_manager.v3.HttpConnectionManager",
                    manager,
                ),
            }],
        }]);
        let text = json!({ "version_info": generation.to_string(), "resources": [listener] });
        fs::write(path, text.to_string()).with_context(|| path.display().to_string())
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

fn address(host: &str, port: u16) -> Value {
    json!({ "address": { "socket_address": { "address": host, "port_value": port } } })
}

/// Envoy wants to be told what an extension's configuration is.
fn typed(name: &str, mut value: Value) -> Value {
    value["@type"] = format!("type.googleapis.com/envoy.extensions.{name}").into();
    value
}
