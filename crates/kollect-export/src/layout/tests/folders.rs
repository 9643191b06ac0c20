//! Paths that would be a file and a folder.

use super::{AT, config_map, deleted, delta, plan_full, shown, spec};
use crate::encode::Format;
use crate::layout::*;
use kollect_model::ObjectKey;
use kollect_model::Reason;

#[test]
fn a_path_that_would_be_a_file_and_a_folder_is_left_out_until_there_is_room() {
    let template = PathTemplate::parse("{sourceNamespace}/{sourceName}", Grammar::Row).unwrap();
    let spec = DocumentSpec { row_template: template, ..spec(Mode::PerResource, Format::Yaml) };
    let of_target = |target: &str, namespace: &str, name: &str, uid: &str| {
        let row = config_map(target, name, uid, "1");
        let object = ObjectKey { namespace: namespace.into(), ..row.object.clone() };
        Arc::new(Row::new(row.id.clone(), object, row.attributes.clone()))
    };
    let of = |namespace: &str, name: &str, uid: &str| of_target("cfg", namespace, name, uid);
    // A Namespace and what is in it, so to speak.
    let (file, below, beside) = (of("", "shop", "u-0"), of("shop", "a", "u-1"), of("shop", "b", "u-2"));
    let written = |rows: &[Arc<Row>]| {
        let plan = plan_full(&spec, rows, AT).unwrap();
        let paths: Vec<String> = plan.files.iter().map(|file| file.path.to_string()).collect();
        (paths, plan.left_out, plan.index)
    };
    for (rows, kept) in [
        ([file.clone(), below.clone(), beside.clone()], vec!["shop"]),
        ([below.clone(), beside.clone(), of_target("late", "", "shop", "u-0")], vec!["shop/a", "shop/b"]),
    ] {
        let (paths, left_out, index) = written(&rows);
        assert_eq!(
            (paths.as_slice(), left_out.len()),
            (kept.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>().as_slice(), 3 - kept.len())
        );
        assert!(left_out[0].why.contains("a file cannot be a folder as well"), "{}", left_out[0].why);
        assert_eq!(left_out[0].reason, Reason::LayoutCollision);
        let blocked = if kept.len() == 1 { &below } else { &rows[2] };
        assert!(delta(&spec, &index, &[Change::Upsert(blocked.clone())]).unwrap().changes.is_empty(), "still left out");
        let in_the_way = if kept.len() == 1 { &file } else { &below };
        assert!(delta(&spec, &index, &[deleted(in_the_way)]).is_none(), "only a full plan has the rows left out");
    }
    // What comes later is compared with what is there, and with what comes with it.
    let (_, _, mut index) = written(std::slice::from_ref(&below));
    assert!(delta(&spec, &index, &[Change::Upsert(file.clone())]).is_none());
    index.commit(delta(&spec, &index, &[Change::Upsert(beside.clone())]).unwrap().update);
    let (_, _, mut index) = written(&[of("", "other", "u-3"), below.clone()]);
    let (new_file, new_below) = (of("", "x", "u-4"), of("x", "y", "u-5"));
    for both in [[&new_file, &new_below], [&new_below, &new_file]] {
        assert!(delta(&spec, &index, &both.map(|row| Change::Upsert(row.clone()))).is_none());
    }
    index.commit(delta(&spec, &index, &[Change::Upsert(new_below.clone())]).unwrap().update);
    assert!(delta(&spec, &index, &[Change::Upsert(new_file)]).is_none(), "x is a folder by now");
    let plan = delta(&spec, &index, &[Change::Upsert(of("", "z", "u-6")), Change::Upsert(beside)]).unwrap();
    assert_eq!(shown(&plan.changes), ["+z", "+shop/b"]);
}
