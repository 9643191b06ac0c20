//! Text to documents with places, by the reader of manifests. A broken document does not hide those after it.

use super::{SourceDocument, SourceText, SyntaxError};
use kollect_manifest::{ManifestFormat, located};

impl SourceText {
    /// Reads a text. What cannot be read is in [`SourceText::errors`].
    pub fn parse(name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let (documents, faults) = located::read(&text, ManifestFormat::of_extension(extension));
        let documents = documents.into_iter().map(|found| SourceDocument {
            number: found.number,
            value: found.value,
            root: found.root,
        });
        let errors = faults.into_iter().map(|fault| SyntaxError {
            document: fault.document,
            span: fault.byte..fault.byte,
            message: fault.what.to_string(),
        });
        let (documents, errors) = (documents.collect(), errors.collect());
        Self { name, text, documents, errors }
    }
}
