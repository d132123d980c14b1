//! The suite over every API, the Rust half: each scenario of `testdata/apis` by each client over each
//! transport.
//!
//! ```text
//! cargo test -p ferrpc-testing --test apis                         all
//! cargo test -p ferrpc-testing --test apis blocking::tcp           one client, one transport
//! cargo test -p ferrpc-testing --test apis fin_before_the_answer   one behaviour everywhere
//! ```

mod client;
mod run;
mod tasks;
mod threads;

use std::path::Path;

use ferrpc_testing::apis::{Transport, load};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/apis");
    let scenarios = load(&folder);
    let mut trials = Vec::new();
    for api in client::APIS {
        for transport in Transport::ALL {
            for (file, scenario) in &scenarios {
                if !run::is_for(scenario, *api, transport) {
                    continue;
                }
                let name = format!("{}::{}::{file}::{}", api.name, transport.name(), scenario.name);
                let scenario = scenario.clone();
                let test = move || run::check(&scenario, *api, transport).map_err(Failed::from);
                trials.push(Trial::test(name, test));
            }
        }
    }
    let mut arguments = Arguments::from_args();
    // They wait more than they work.
    arguments.test_threads.get_or_insert(8);
    libtest_mimic::run(&arguments, trials).exit();
}
