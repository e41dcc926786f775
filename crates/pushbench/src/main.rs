//! Command line of pushbench. The only crate that prints, colours or exits.

mod agents;
mod compare;
mod core_locks;
mod counters;
mod doctor;
mod exec;
mod exit;
mod gate;
mod generate;
mod history;
mod machine;
mod precedence;
mod print;
mod process_tree;
mod report;
mod run;
mod scenarios;
mod schema;
mod selfcheck;
mod serve;
mod show;
mod signals;
mod try_out;
mod values;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measure latency and cost of chat over polling, long polling, HTTP streaming, SSE, WebSocket,
/// Socket.IO, STOMP and raw TCP
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Agent(agents::agent::Args),
    Run(Box<run::RunArgs>),
    Load(Box<run::LoadArgs>),
    Scenarios(scenarios::Args),
    Report(report::Args),
    Show(show::Args),
    Serve(Box<serve::Args>),
    Compare(compare::Args),
    Counters(counters::Args),
    Exec(exec::Args),
    Doctor(doctor::Args),
    Gate(Box<gate::Args>),
    Generate(generate::Args),
    History(history::Args),
    Schema(schema::Args),
    Selfcheck(selfcheck::Args),
    Try(try_out::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Agent(args) => agents::agent::run(&args),
        Command::Run(args) => run::run(*args),
        Command::Load(args) => run::load(*args),
        Command::Scenarios(args) => scenarios::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Serve(args) => serve::run(*args),
        Command::Compare(args) => compare::run(&args),
        Command::Counters(args) => counters::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::Doctor(args) => doctor::run(args),
        Command::Gate(args) => gate::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::History(args) => history::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Selfcheck(args) => selfcheck::run(&args),
        Command::Try(args) => try_out::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        print::error(&error);
        ExitCode::FAILURE
    })
}
