//! The query parameters of a request. One that cannot be parsed counts as absent, as in the reference.

use kollect_model::Row;

/// Rows of a page without `limit`.
const USUAL_LIMIT: usize = 500;
/// Most rows of a page.
const MOST: usize = 5000;

/// The parameters of a request for rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// Namespace of the targets.
    pub(crate) namespace: String,
    /// Inventory whose targets are listed and whose exports are reported.
    pub(crate) inventory: String,
    pub(crate) target: String,
    group: String,
    version: String,
    kind: String,
    name: String,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

impl Query {
    /// Reads the part of a URL behind `?`. Of a parameter given twice the first counts.
    pub(crate) fn parse(text: &str) -> Self {
        let all: Vec<_> = url::form_urlencoded::parse(text.as_bytes()).collect();
        let get = |name: &str| all.iter().find(|(key, _)| key == name).map(|(_, value)| &**value).unwrap_or_default();
        let limit = get("limit").parse().ok().filter(|limit| *limit > 0).unwrap_or(USUAL_LIMIT);
        Self {
            namespace: get("namespace").to_owned(),
            inventory: get("inventory").to_owned(),
            target: get("target").to_owned(),
            group: get("group").to_owned(),
            version: get("version").to_owned(),
            kind: get("kind").to_owned(),
            name: get("name").to_owned(),
            limit: limit.min(MOST),
            offset: get("offset").parse().unwrap_or(0),
        }
    }

    /// The rows of one inventory, as its path names it. The path counts, not parameters of the same name.
    pub(crate) fn of_inventory(self, namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), inventory: name.to_owned(), ..self }
    }

    /// Whether the fields of a row match; its namespace and inventory are not compared.
    pub(crate) fn matches(&self, row: &Row) -> bool {
        let is = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
        let gvk = &row.object.gvk;
        is(&self.target, &row.id.target.name)
            && is(&self.group, &gvk.group)
            && is(&self.version, &gvk.version)
            && is(&self.kind, &gvk.kind)
            && is(&self.name, &row.object.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_offsets_are_bounded_and_never_an_error() {
        for (text, limit, offset) in [
            ("", 500, 0),
            ("limit=1&offset=7", 1, 7),
            ("limit=999999", 5000, 0),
            ("limit=0&offset=-1", 500, 0),
            ("limit=-5&offset=x", 500, 0),
            ("limit=18446744073709551616", 500, 0),
            ("limit=2&limit=3", 2, 0),
        ] {
            let query = Query::parse(text);
            assert_eq!((query.limit, query.offset), (limit, offset), "{text}");
        }
    }

    #[test]
    fn the_path_counts_more_than_parameters() {
        let query = Query::parse("namespace=other&inventory=all&kind=Config%4Dap").of_inventory("shop", "daily");
        assert_eq!((&*query.namespace, &*query.inventory, &*query.kind), ("shop", "daily", "ConfigMap"));
    }
}
