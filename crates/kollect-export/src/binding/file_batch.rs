//! The batches of a file binding: changes with the texts of their commit.

use crate::contract::files::{FileBatch, FileChange};
use crate::layout::{CommitFacts, DocumentSpec};

pub(super) fn file_batch(
    spec: &DocumentSpec,
    (id, exported_at): (&str, &str),
    (item_count, checksum): (u64, &str),
    changes: Vec<FileChange>,
) -> FileBatch {
    let path = spec.document_path().unwrap_or_default();
    let message = spec.commit.render(&CommitFacts {
        cluster: &spec.cluster,
        namespace: &spec.inventory.namespace,
        name: &spec.inventory.name,
        generation: spec.generation,
        item_count,
        checksum,
        exported_at,
        sink: &spec.sink_name,
        path: &path,
        cycle: id,
    });
    FileBatch {
        changes,
        record: spec.record_path(),
        message,
        author_name: spec.author.name.clone(),
        author_email: spec.author.email.clone(),
    }
}

/// The batch that removes everything in the record.
pub(crate) fn forget_batch(spec: &DocumentSpec, id: &str, exported_at: &str) -> FileBatch {
    file_batch(spec, (id, exported_at), (0, kollect_model::EMPTY_ITEMS_FINGERPRINT), Vec::new())
}
