//! The measurements themselves.
//!
//! Everything is read from outside the operator.

use crate::bench_cluster::{CLUSTER, INVENTORY, TARGET};
use crate::load::{Loaded, Object};
use anyhow::ensure;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kollect_testkit::operator::{self, Operator};
use kollect_testkit::scene::TABLE;
use kollect_testkit::servers::{ApiServer, Postgres, count_by_verb, read_audit_log};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const CHANGE_DEADLINE: Duration = Duration::from_mins(1);
const DELETE_DEADLINE: Duration = Duration::from_mins(5);

/// Counters at one moment.
pub(super) struct Marks {
    pub(super) requests: BTreeMap<String, u64>,
    pub(super) rows_written: u64,
    pub(super) bytes_exported: u64,
}

impl Marks {
    /// Reads all counters; requests from byte `from` of the audit log on.
    pub(super) async fn take(
        postgres: &Postgres,
        operator: &Operator,
        api: &ApiServer,
        from: u64,
    ) -> anyhow::Result<Self> {
        let (entries, _) = read_audit_log(&api.audit_log(), from, operator::USER)?;
        let database = postgres.admin(Postgres::DATABASE).await?;
        let row = database
            .query_one(
                "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = $1",
                &[&TABLE],
            )
            .await?;
        let rows_written = u64::try_from(row.get::<_, i64>(0))?;
        let bytes = operator.metric("kollect_export_bytes_total").await?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter of bytes")]
        let bytes_exported = bytes as u64;
        Ok(Self { requests: count_by_verb(&entries), rows_written, bytes_exported })
    }
}

/// Waits until the table has exactly `wanted` rows.
pub(super) async fn rows_become(postgres: &Postgres, wanted: u64, deadline: Duration) -> anyhow::Result<()> {
    let database = postgres.admin(Postgres::DATABASE).await?;
    let (begun, wanted) = (Instant::now(), i64::try_from(wanted)?);
    let mut last = 0;
    while begun.elapsed() < deadline {
        // The table does not exist before the first export.
        if let Ok(row) = database.query_one(&format!("SELECT count(*) FROM {TABLE}"), &[]).await {
            last = row.get::<_, i64>(0);
            if last == wanted {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("{last} rows instead of {wanted} after {deadline:?}")
}

/// Changes one object after the other; milliseconds each time from before the request is sent until the row has the new
/// value. `phase` makes the values differ from those of another call.
pub(crate) async fn latency(
    client: &kube::Client,
    postgres: &Postgres,
    loaded: &Loaded,
    phase: &str,
    changes: u32,
) -> anyhow::Result<Vec<f64>> {
    let database = postgres.admin(Postgres::DATABASE).await?;
    let sql = format!(
        "SELECT payload->'attributes'->>'value' FROM {TABLE} WHERE cluster = $1 AND inventory_namespace = $2 \
         AND inventory_name = $3 AND target_name = $4 AND source_uid = $5"
    );
    let statement = database.prepare(&sql).await?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut times = Vec::with_capacity(changes as usize);
    for change in 0..changes {
        let object = &loaded.objects[random.usize(..loaded.objects.len())];
        let value = format!("{phase}-{change}");
        tokio::time::sleep(Duration::from_millis(random.u64(0..30))).await;
        let begun = Instant::now();
        let maps = Api::<ConfigMap>::namespaced(client.clone(), &object.namespace);
        let patch = Patch::Merge(json!({"data": {"value": value}}));
        maps.patch(&object.name, &PatchParams::default(), &patch).await?;
        loop {
            let row = database
                .query_opt(&statement, &[&CLUSTER, &object.namespace, &INVENTORY, &TARGET, &object.uid])
                .await?;
            if row.is_some_and(|row| row.get::<_, Option<String>>(0).as_deref() == Some(&*value)) {
                break;
            }
            ensure!(begun.elapsed() < CHANGE_DEADLINE, "change {change} did not arrive within {CHANGE_DEADLINE:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(times)
}

/// Deletes the first `count` objects; seconds from the last answer until all their rows are gone.
pub(super) async fn deletions(
    client: &kube::Client,
    postgres: &Postgres,
    loaded: &Loaded,
    count: u32,
) -> anyhow::Result<f64> {
    let delete = |object: &Object| {
        let maps = Api::<ConfigMap>::namespaced(client.clone(), &object.namespace);
        let name = object.name.clone();
        async move { maps.delete(&name, &DeleteParams::default()).await.map(drop) }
    };
    let gone = loaded.objects.iter().take(count as usize);
    stream::iter(gone.map(delete)).buffer_unordered(16).try_collect::<()>().await?;
    let begun = Instant::now();
    let left = loaded.objects.len() as u64 - u64::from(count);
    rows_become(postgres, left, DELETE_DEADLINE).await?;
    Ok(begun.elapsed().as_secs_f64())
}
