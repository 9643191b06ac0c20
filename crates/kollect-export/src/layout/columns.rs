//! Names of columnar files and of their promoted columns. Both are part of the data contract: users query by them.

use crate::contract::ids::InventoryKey;

/// Path of the file of one generation: `inventory/cluster=<c>/ns=<ns>/name=<n>/generation=<g>.parquet`. Whatever is not
/// a letter, digit, `.`, `_` or `-` becomes `_`, so that a value stays in its segment.
pub fn hive_path(cluster: &str, inventory: &InventoryKey, generation: i64) -> String {
    let clean = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect()
    };
    let cluster = if cluster.is_empty() { "default" } else { cluster };
    format!(
        "inventory/cluster={}/ns={}/name={}/generation={generation}.parquet",
        clean(cluster),
        clean(&inventory.namespace),
        clean(&inventory.name)
    )
}

/// Column of a promoted attribute: `attr_` and the name in lower case, with `-`, `_` and `.` as `_`, and other
/// characters that are no letters or digits left out.
pub fn promoted_column(attribute: &str) -> String {
    let name: String = attribute
        .chars()
        .filter_map(|c| match c {
            '-' | '_' | '.' => Some('_'),
            c => c.is_ascii_alphanumeric().then(|| c.to_ascii_lowercase()),
        })
        .collect();
    format!("attr_{}", if name.is_empty() { "unknown" } else { &name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_columns_are_those_of_the_contract() {
        let daily = InventoryKey { namespace: "shop".into(), name: "daily".into() };
        let path = |cluster: &str| hive_path(cluster, &daily, 4);
        assert_eq!(path("eu west/1"), "inventory/cluster=eu_west_1/ns=shop/name=daily/generation=4.parquet");
        assert_eq!(path(""), "inventory/cluster=default/ns=shop/name=daily/generation=4.parquet");
        for (attribute, column) in [
            ("Image", "attr_image"),
            ("app.version", "attr_app_version"),
            ("team-name", "attr_team_name"),
            ("héllo", "attr_hllo"),
            ("日本", "attr_unknown"),
        ] {
            assert_eq!(promoted_column(attribute), column);
        }
    }
}
