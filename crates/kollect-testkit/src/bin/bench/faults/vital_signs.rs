//! Whether the operator lives: its health probe and its lease, asked without a pause while something else is measured.

use k8s_openapi::api::coordination::v1::Lease;
use kollect_testkit::operator::{Operator, SERVICE_ACCOUNT};
use kube::api::{Api, ListParams};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_millis(200);
/// As long as a kubelet waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// Health probes sent.
    pub(super) asked: u64,
    /// Those that failed or took longer than a second.
    pub(super) failed: u64,
    /// The slowest answer.
    pub(super) slowest: Duration,
    /// The longest time during which the lease was not renewed.
    pub(super) longest_without_renewal: Duration,
}

/// Asks until it is ended.
pub(super) struct Watch {
    stop: CancellationToken,
    task: JoinHandle<Signs>,
}

impl Watch {
    /// Ends it.
    pub(super) async fn end(self) -> anyhow::Result<Signs> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

/// Begins to ask.
pub(super) fn watch(operator: &Operator, client: &kube::Client) -> Watch {
    let (stop, probe) = (CancellationToken::new(), operator.health_probe());
    let leases = Api::<Lease>::namespaced(client.clone(), SERVICE_ACCOUNT.0);
    let until = stop.clone();
    let task = tokio::spawn(async move {
        let (mut signs, mut renewed, mut since) = (Signs::default(), None, Instant::now());
        while until.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            let begun = Instant::now();
            let healthy = tokio::time::timeout(PATIENCE, probe.ask()).await.is_ok_and(|answer| answer.is_ok());
            signs.asked += 1;
            signs.failed += u64::from(!healthy);
            signs.slowest = signs.slowest.max(begun.elapsed());
            let Ok(list) = leases.list(&ListParams::default()).await else { continue };
            let now = list.items.into_iter().find_map(|lease| lease.spec?.renew_time);
            if now != renewed {
                (renewed, since) = (now, Instant::now());
            }
            signs.longest_without_renewal = signs.longest_without_renewal.max(since.elapsed());
        }
        signs
    });
    Watch { stop, task }
}
