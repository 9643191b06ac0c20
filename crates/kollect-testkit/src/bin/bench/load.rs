//! Fills the API server with ConfigMaps, before anything is measured.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kollect_testkit::{operator, scene};
use kube::api::{Api, PostParams};

const PARALLEL: usize = 16;
const SIZE: usize = 1_000;

/// What was created.
pub(crate) struct Loaded {
    pub(crate) namespaces: Vec<String>,
    pub(crate) objects: Vec<Object>,
}

/// One ConfigMap.
pub(crate) struct Object {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

pub(crate) async fn create(client: &kube::Client, objects: u32, namespaces: u32) -> anyhow::Result<Loaded> {
    let names: Vec<String> = (0..namespaces).map(|n| format!("bench-{n:03}")).collect();
    for name in &names {
        operator::apply(client, scene::namespace(name)).await?;
    }
    let create_one = |n: u32| {
        let namespace = names[(n % namespaces) as usize].clone();
        let maps = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
        async move {
            let name = format!("object-{n:06}");
            let map: ConfigMap = serde_json::from_value(scene::config_map(&namespace, &name, "first", SIZE))?;
            let created = maps.create(&PostParams::default(), &map).await?;
            anyhow::Ok(Object { namespace, name, uid: created.metadata.uid.unwrap_or_default() })
        }
    };
    let objects = stream::iter(0..objects).map(create_one).buffer_unordered(PARALLEL).try_collect().await?;
    Ok(Loaded { namespaces: names, objects })
}
