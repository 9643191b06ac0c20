//! The oracle: what should be in the sinks, computed from the API server in the most naive way.
//!
//! It shares none of the operator's extraction, matching or encoding, so that both cannot be
//! wrong in the same way. It reads; it never writes.

mod compare;
mod expect;
mod git;
mod stored;

pub use compare::{Difference, RowKey, compare};
pub use expect::{Expectation, ExpectedAttribute, ExpectedTarget, Extract, Filter, expected_rows, path};
pub use git::{CommitTree, git_commits, git_files, partial_commits};
pub use stored::{document_rows, postgres_rows};
