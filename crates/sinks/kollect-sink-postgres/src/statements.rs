//! The SQL of one destination. Every name in it is quoted; every value is a parameter.
//!
//! `$1`, `$2`, `$3` are cluster, inventory namespace and inventory name, except where a field's comment differs.

use crate::config::{PostgresConfig, literal};

/// Columns of a row as they are sent; the others are the same for a whole batch.
const SENT: &str = "target_namespace, target_name, source_uid, resource_namespace, payload, digest";
const KEY: &str = "cluster, inventory_namespace, inventory_name, target_name, source_uid";
const SAME_INVENTORY: &str = "cluster = $1 AND inventory_namespace = $2 AND inventory_name = $3";
/// Target of COPY: a temporary table of the connection, empty after every transaction.
const STAGING: &str = "pg_temp.kollect_staging";

/// The statements of one destination.
pub(crate) struct Statements {
    /// Takes the fence (`$5`) for a comparison and writes a new token; no row when the table has a higher fence.
    pub(crate) claim: String,
    /// Takes the fence (`$5`) for a write; no row when the table has a higher fence.
    pub(crate) fence: String,
    /// Identity of the table (`$1` its name).
    pub(crate) identity: String,
    /// Identity of the table, and the token (`$5` the table's name).
    pub(crate) identity_and_token: String,
    /// Keys and digests of everything the inventory holds.
    pub(crate) held: String,
    /// Deletes one row by key: `$4` target name, `$5` uid.
    pub(crate) delete_one: String,
    /// Deletes rows by key: `$4` target names, `$5` uids.
    pub(crate) delete: String,
    /// Upserts rows given as arrays `$4`…`$9`.
    pub(crate) upsert: String,
    /// Creates the staging table if this connection has none yet.
    pub(crate) create_staging: String,
    /// Sends rows into the staging table.
    pub(crate) copy: String,
    /// Upserts the rows of the staging table.
    pub(crate) merge: String,
    /// Deletes every row of the inventory.
    pub(crate) forget_rows: String,
    /// Reads the fence (`$4` is the destination's name).
    pub(crate) held_fence: String,
    /// Deletes the fence (`$4` is the destination's name).
    pub(crate) forget_fence: String,
}

impl Statements {
    pub(crate) fn new(config: &PostgresConfig) -> Self {
        let (table, writer) = (config.table_sql(), config.writer_sql());
        let insert = format!(
            "INSERT INTO {table} AS held (cluster, inventory_namespace, inventory_name, {SENT}, exported_at) \
             SELECT $1, $2, $3, {SENT}, now() FROM"
        );
        // A row with an equal digest is not updated: no dead tuple, and `exported_at` stays the time of the change.
        let conflict = format!(
            "ON CONFLICT ({KEY}) DO UPDATE SET target_namespace = EXCLUDED.target_namespace, \
             resource_namespace = EXCLUDED.resource_namespace, payload = EXCLUDED.payload, \
             digest = EXCLUDED.digest, exported_at = EXCLUDED.exported_at \
             WHERE held.digest IS DISTINCT FROM EXCLUDED.digest"
        );
        let take = format!(
            "INSERT INTO {writer} AS w (cluster, inventory_namespace, inventory_name, table_name, fence, token, written_at) \
             VALUES ($1, $2, $3, $4, $5, md5(random()::text || clock_timestamp()::text), now()) \
             ON CONFLICT (table_name, cluster, inventory_namespace, inventory_name) DO UPDATE SET fence = EXCLUDED.fence"
        );
        let identity = "SELECT c.oid, pg_relation_filenode(c.oid)";
        Self {
            claim: format!(
                "{take}, token = EXCLUDED.token, written_at = EXCLUDED.written_at WHERE w.fence <= EXCLUDED.fence RETURNING token"
            ),
            fence: format!("{take} WHERE w.fence <= EXCLUDED.fence RETURNING token"),
            identity: format!("{identity}, NULL::text FROM pg_class c WHERE c.oid = to_regclass($1)::oid"),
            identity_and_token: format!(
                "{identity}, (SELECT w.token FROM {writer} w WHERE {SAME_INVENTORY} AND w.table_name = $4) \
                 FROM pg_class c WHERE c.oid = to_regclass($5)::oid"
            ),
            // `resource_namespace` of a cluster-scoped object is the inventory's; its payload has an empty one.
            held: format!(
                "SELECT target_namespace, target_name, source_uid, digest, \
                 CASE WHEN resource_namespace = inventory_namespace THEN coalesce(payload->>'namespace', '') \
                 ELSE resource_namespace END FROM {table} WHERE {SAME_INVENTORY}"
            ),
            delete_one: format!("DELETE FROM {table} WHERE {SAME_INVENTORY} AND target_name = $4 AND source_uid = $5"),
            delete: format!(
                "DELETE FROM {table} AS held USING unnest($4::text[], $5::text[]) AS gone(target_name, source_uid) \
                 WHERE {SAME_INVENTORY} AND held.target_name = gone.target_name AND held.source_uid = gone.source_uid"
            ),
            upsert: format!(
                "{insert} unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::bytea[]) AS sent({SENT}) {conflict}"
            ),
            create_staging: "SET LOCAL client_min_messages = warning; \
                 CREATE TEMP TABLE IF NOT EXISTS kollect_staging (target_namespace text, target_name text, \
                 source_uid text, resource_namespace text, payload jsonb, digest bytea) ON COMMIT DELETE ROWS"
                .into(),
            copy: format!("COPY {STAGING} ({SENT}) FROM STDIN BINARY"),
            merge: format!("{insert} {STAGING} {conflict}"),
            forget_rows: format!("DELETE FROM {table} WHERE {SAME_INVENTORY}"),
            held_fence: format!("SELECT fence FROM {writer} WHERE {SAME_INVENTORY} AND table_name = $4"),
            forget_fence: format!("DELETE FROM {writer} WHERE {SAME_INVENTORY} AND table_name = $4"),
        }
    }

    /// Opens a transaction that shows the cycle in `pg_stat_activity`.
    pub(crate) fn begin(cycle_id: &str) -> String {
        format!("BEGIN; SET LOCAL application_name = {}", literal(&shortened(cycle_id)))
    }
}

/// At most 63 bytes. The end, which distinguishes cycles, is kept.
fn shortened(id: &str) -> String {
    const MAX: usize = 63;
    if id.len() <= MAX {
        return id.to_owned();
    }
    let tail = &id[id.ceil_char_boundary(id.len() - 30)..];
    let head = &id[..id.floor_char_boundary(MAX - tail.len() - 1)];
    format!("{head}~{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cycle_id_keeps_its_counter_and_fits() {
        let id = format!("{}/inventory:database/sink#12@3", "n".repeat(60));
        let short = shortened(&id);
        assert_eq!(short.len(), 63);
        assert!(short.starts_with("nnn") && short.ends_with("#12@3"), "{short}");
        assert_eq!(shortened("a#1@0"), "a#1@0");
    }
}
