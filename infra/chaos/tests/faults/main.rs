//! Every row of `docs/faults.md`: one cluster for all of them, one after the other.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

mod chatter;
mod engines;
mod ground;
mod kafka;
mod partitions;
mod postgres;
mod redis;

use std::{process::ExitCode, sync::Arc, time::Duration};

use ground::Ground;
use libtest_mimic::{Arguments, Trial};
use tokio::{runtime::Runtime, sync::OnceCell};

/// A row's test may take so long on the busiest machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// What runs the tests, and what they run on: started by the first of them.
struct Stage {
    runtime: Runtime,
    ground: OnceCell<Ground>,
}

fn main() -> ExitCode {
    // The cluster is one, and each fault is to be the only one.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let stage = Arc::new(Stage { runtime: Runtime::new().unwrap(), ground: OnceCell::new() });
    let mut trials = Vec::new();
    macro_rules! rows {
        ($($file:ident: $($test:ident),+ $(,)?);+ $(;)?) => {$($(
            let on = stage.clone();
            trials.push(Trial::test(concat!("cluster_", stringify!($test)), move || {
                on.run(async |ground| $file::$test(ground).await);
                Ok(())
            }));
        )+)+};
    }
    rows! {
        engines: an_engine_that_joins_serves_at_once,
            an_engine_that_leaves_sends_its_clients_elsewhere,
            an_engine_cut_from_everything_ends_when_it_is_told_to,
            a_killed_engine_loses_nothing_acknowledged,
            an_engine_frozen_past_its_lease_takes_its_place_again;
        partitions: an_engine_cut_from_kafka_acknowledges_nothing_that_is_lost,
            an_engine_that_kafka_no_longer_hears_acknowledges_nothing_that_is_lost,
            an_engine_cut_from_redis_goes_on_and_counts_catch_up,
            an_engine_that_redis_no_longer_hears_goes_on_and_counts_catch_up,
            an_engine_cut_from_postgres_goes_on_and_rows_catch_up,
            an_engine_that_postgres_no_longer_hears_goes_on_and_rows_catch_up;
        kafka: one_broker_of_three_is_not_missed,
            a_frozen_broker_is_not_missed,
            without_two_brokers_of_three_nothing_is_acknowledged,
            a_frozen_kafka_holds_messages_up_and_loses_none;
        redis: without_redis_messages_flow_and_counts_catch_up,
            a_frozen_redis_holds_no_message_up,
            without_redis_who_is_banned_hears_nothing_more,
            with_a_frozen_redis_who_is_banned_hears_nothing_more;
        postgres: without_postgres_chat_goes_on_and_rows_catch_up,
            a_frozen_postgres_holds_no_message_up;
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(ground) =
        Arc::into_inner(stage).and_then(|mut stage| stage.ground.take().map(|ground| (stage, ground)))
    {
        let (stage, ground) = ground;
        stage.runtime.block_on(ground.stop());
    }
    conclusion.exit_code()
}

impl Stage {
    fn run(&self, test: impl AsyncFnOnce(&Ground)) {
        self.runtime.block_on(async {
            let ground = self.ground.get_or_init(Ground::new).await;
            // Whatever the one before left behind when it failed.
            tokio::time::timeout(PATIENCE, ground.calm()).await.expect("the cluster is well before the test");
            tokio::time::timeout(PATIENCE, test(ground)).await.expect("the test ends in time");
        });
    }
}
