//! One run: its phases, and what is read at their ends.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use mio::Waker;

use crate::{
    client::{Control, Done, Phase, Tally, Worker},
    fault::{FaultKind, Faults},
    options::{Scenario, Server},
    plan::Plan,
    process::{Cpu, Memory, raise_open_files},
    report::{Churn, CpuUse, Delays, MemoryUse, Report, Samples},
};

/// Makes the load.
pub fn run(scenario: &Scenario, server: &Server) -> anyhow::Result<Report> {
    raise_open_files();
    let plan = Arc::new(Plan::new(scenario, server)?);
    let memory = || (!server.pids.is_empty()).then(|| Memory::of(&server.pids)).transpose();
    let before = memory()?;
    let mut crew = Crew::start(&plan)?;

    let connected = crew.wait_for(Phase::Connect, None);
    let connect_seconds = plan.started.elapsed().as_secs_f64();
    anyhow::ensure!(connected, "a worker ended before all were connected");
    crew.wait(scenario.settle);
    let with_all = memory()?;
    let hold = crew.hold(scenario.hold, &server.pids)?;
    let churn = crew.churn(scenario.churn, &server.pids)?;
    let load = crew.load(scenario, &server.pids)?;
    let end = memory()?;
    let tallies = crew.finish()?;

    let mut delays = Histogram::<u64>::new(3).context("three digits are possible")?;
    let mut faults = Faults::default();
    let mut slow = BTreeMap::new();
    let (mut connections, mut churned, mut checked) = (0, 0, 0);
    for tally in tallies {
        delays.add(tally.delays).context("histograms of one kind add up")?;
        faults.merge(tally.faults);
        for (what, count) in tally.slow {
            *slow.entry(what).or_default() += count;
        }
        connections += tally.connected;
        churned += tally.churned;
        checked += tally.checked;
    }
    if connections < scenario.connections && faults.is_empty() {
        faults.add(FaultKind::NotConnected, || format!("{connections} of {}", scenario.connections));
    }
    let memory = before.zip(with_all).zip(end).map(|((before, connected), end)| {
        let each = |after: u64, before: u64| {
            (after as f64 - before as f64) / f64::from(scenario.connections + scenario.slow).max(1.0)
        };
        MemoryUse {
            before,
            connected,
            rss_kib_per_connection: each(connected.rss_kib, before.rss_kib),
            private_kib_per_connection: each(connected.private_kib, before.private_kib),
            end,
        }
    });
    Ok(Report {
        connections,
        connect_seconds,
        connects_per_second: f64::from(connections) / connect_seconds,
        measured_seconds: load.seconds,
        messages: load.messages,
        deliveries: load.deliveries,
        deliveries_per_second: load.deliveries as f64 / load.seconds.max(f64::MIN_POSITIVE),
        checked,
        delay_us: Delays::from(&delays),
        server_cpu: (!server.pids.is_empty()).then(|| CpuUse::new(load.server_cpu, load.deliveries)),
        client_cpu: CpuUse::new(load.client_cpu, load.deliveries),
        memory,
        hold,
        churn: churn.map(|(seconds, memory)| Churn {
            cycles: churned,
            cycles_per_second: f64::from(churned) / seconds,
            memory,
        }),
        slow,
        faults,
    })
}

/// What was measured while messages were sent.
#[derive(Debug, Default)]
struct Load {
    seconds: f64,
    messages: u64,
    deliveries: u64,
    server_cpu: Cpu,
    client_cpu: Cpu,
}

/// The workers.
#[derive(Debug)]
struct Crew {
    control: Arc<Control>,
    done: Receiver<Done>,
    wakers: Vec<Waker>,
    threads: Vec<JoinHandle<std::io::Result<Tally>>>,
}

impl Crew {
    fn start(plan: &Arc<Plan>) -> anyhow::Result<Self> {
        let workers = plan.scenario.threads;
        let control = Arc::new(Control::new(workers as usize));
        let (sender, done) = channel();
        let mut crew = Self { control, done, wakers: Vec::new(), threads: Vec::new() };
        for index in 0..workers {
            let worker = Worker::new(plan, index, crew.control.clone(), sender.clone())?;
            crew.wakers.push(worker.waker()?);
            let thread = std::thread::Builder::new().name(format!("clients-{index}"));
            crew.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(crew)
    }

    fn set_phase(&self, phase: Phase) -> anyhow::Result<()> {
        self.control.set_phase(phase);
        for waker in &self.wakers {
            waker.wake()?;
        }
        Ok(())
    }

    /// Until every worker has come to the end of the phase: whether they did so in time.
    fn wait_for(&self, phase: Phase, timeout: Option<Duration>) -> bool {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut missing = self.threads.len();
        while missing > 0 {
            let told = match deadline {
                Some(deadline) => self.done.recv_timeout(deadline.saturating_duration_since(Instant::now())),
                None => self.done.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match told {
                Ok(done) => missing -= usize::from(done == Done(phase)),
                Err(_) => return false,
            }
        }
        true
    }

    /// For so long, while the workers do what they do.
    fn wait(&self, time: Duration) {
        // Nobody is expected to come to an end; one who dies is found by joining.
        self.wait_for(Phase::Finish, Some(time));
    }

    fn hold(&self, time: Duration, pids: &[u32]) -> anyhow::Result<Option<Samples>> {
        if time.is_zero() {
            return Ok(None);
        }
        let mut samples = Vec::new();
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.wait((until - Instant::now()).min(Duration::from_secs(1)));
            samples.push(Memory::of(pids)?.rss_kib);
        }
        Ok(Some(Samples::new(samples)))
    }

    fn churn(&self, cycles: u32, pids: &[u32]) -> anyhow::Result<Option<(f64, Samples)>> {
        if cycles == 0 {
            return Ok(None);
        }
        let begun = Instant::now();
        self.set_phase(Phase::Churn)?;
        let mut samples = vec![Memory::of(pids)?.rss_kib];
        let mut missing = self.threads.len();
        while missing > 0 {
            match self.done.recv_timeout(Duration::from_millis(500)) {
                Ok(Done(phase)) => missing -= usize::from(phase == Phase::Churn),
                Err(RecvTimeoutError::Timeout) => samples.push(Memory::of(pids)?.rss_kib),
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("a worker ended too early"),
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        samples.push(Memory::of(pids)?.rss_kib);
        Ok(Some((seconds, Samples::new(samples))))
    }

    fn load(&self, scenario: &Scenario, pids: &[u32]) -> anyhow::Result<Load> {
        if scenario.duration.is_zero() {
            return Ok(Load::default());
        }
        let own = [std::process::id()];
        let read = || {
            let cpu = (Cpu::of(pids)?, Cpu::of(&own)?);
            anyhow::Ok((Instant::now(), self.control.messages(), self.control.deliveries(), cpu))
        };
        self.set_phase(Phase::Load)?;
        self.wait(scenario.warm_up);
        self.control.set_measuring(true);
        let (begin, messages, deliveries, (server_cpu, client_cpu)) = read()?;
        self.wait(scenario.duration);
        let (end, messages_then, deliveries_then, (server_cpu_then, client_cpu_then)) = read()?;
        self.control.set_measuring(false);
        self.set_phase(Phase::Drain)?;
        // Whatever has not come by then is told as lost.
        self.wait_for(Phase::Drain, Some(scenario.drain));
        Ok(Load {
            seconds: end.duration_since(begin).as_secs_f64(),
            messages: messages_then - messages,
            deliveries: deliveries_then - deliveries,
            server_cpu: server_cpu_then - server_cpu,
            client_cpu: client_cpu_then - client_cpu,
        })
    }

    fn finish(&mut self) -> anyhow::Result<Vec<Tally>> {
        self.set_phase(Phase::Finish)?;
        let join = |thread: JoinHandle<std::io::Result<Tally>>| {
            let tally = thread.join().map_err(|_| anyhow!("a thread of clients panicked"))?;
            tally.context("a thread of clients failed")
        };
        self.threads.drain(..).map(join).collect()
    }
}
