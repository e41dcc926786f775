//! Serves `/echo` for the Autobahn test suite, with its longest messages:
//!
//! ```sh
//! cargo run --release -p pushbench-server --features echo --example echo -- 127.0.0.1:9001
//! wstest -m fuzzingclient -s spec.json
//! ```

use std::net::SocketAddr;

use server::{Access, Config, Log, ServerLimits, StartError, start};

/// Autobahn's longest message.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let address = std::env::args().nth(1).and_then(|address| address.parse().ok());
    let config = Config {
        listen: address.expect("the address to listen on, such as 127.0.0.1:9001"),
        page_ports: 0,
        tcp_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        limits: ServerLimits { message_bytes_max: MESSAGE_BYTES_MAX, ..ServerLimits::default() },
        access: Access::default(),
        log: Log::Memory,
        slowdown: None,
    };
    let _running = start(config).await?;
    std::future::pending().await
}
