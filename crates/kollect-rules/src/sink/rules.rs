//! The rules of the three kinds of sinks.

use crate::rule::rules;

rules! { "KollectSnapshotSink, KollectDatabaseSink, KollectEventSink";
    K1, Crd, "type is missing or none of the kind's backends", "Unsupported value: supported values are listed";
    K2, CrdAndWebhook, "pathTemplate breaks the grammar of path templates", "is not a valid path template";
    K3, CrdAndWebhook, "exportMinInterval is no duration between 0s and 24h", "is not a duration; write a number with a unit, such as 30s";
    K4, Crd, "serialization.format, serialization.compression or provisioning.mode is none of its values", "Unsupported value: supported values are listed";
    K5, CrdAndWebhook, "provisioning.naming.template breaks the grammar of path templates", "is not a valid path template";
    K6, CrdAndWebhook, "the key of an option names a credential", "is the name of a credential; put it into the Secret of secretRef";
    K7, CrdAndWebhook, "the backend does not write serialization.format", "is not written by this type of sink";
    K8, Webhook, "the sink is at a local, link-local or private address, at a cloud metadata service, or at a file: URL", "sinks must not be there";
    K9, Webhook, "exportMinInterval is shorter than the minExportInterval of the namespace's KollectScope", "is shorter than the scope permits";
    K10, CrdAndWebhook, "type is git, and a gitlab, objectStore or http block is present", "does not apply to this type; remove it";
    K11, CrdAndWebhook, "the git block has an invalid branch, an unknown policy, login or engine, a blank Secret name or a cloneDepth below 1", "is not valid for a Git repository";
    K12, CrdAndWebhook, "type is gitlab, and a git, objectStore or http block is present", "does not apply to this type; remove it";
    K13, CrdAndWebhook, "type is s3 or gcs, and a git, gitlab, http or layout block is present", "does not apply to this type; remove it";
    K14, CrdAndWebhook, "the layout has an unknown value, a bad path template or a maxSegmentLength below 1", "is not a valid layout";
    K15, CrdAndWebhook, "a database sink has a layout, lacks the block of its type, or has the block of another", "the block named like the type is required, and no other";
    K16, CrdAndWebhook, "project, dataset, table or the name of the Secret of BigQuery is blank", "must not be empty or blank";
    K17, CrdAndWebhook, "an event sink has a layout, lacks the block of its type, or has the block of another", "the block named like the type is required, and no other";
    K18, Webhook, "serialization.compression is set for a Git repository", "files in Git are not compressed; remove it, or use none";
    K19, Operator, "the sink lacks something without which it cannot write, e.g. its endpoint or the name of its Secret", "must not be empty or blank";
}
