//! The proxy before the API server picks single watches and counts requests.

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kollect_testkit::fault_proxy::{HttpAction, HttpProxy, HttpRule};
use kollect_testkit::servers::{ADMIN_TOKEN, ApiServer, ApiServerOptions, client_from_kubeconfig};
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use std::time::Duration;

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(serde_json::json!({"metadata": {"name": name}})).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_watch_is_stalled_and_goes_on_while_others_are_served() {
    let server = ApiServer::start(ApiServerOptions::default()).await.unwrap();
    let proxy = HttpProxy::start(&server).await.unwrap();
    let client = client_from_kubeconfig(&proxy.kubeconfig(ADMIN_TOKEN)).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let version = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let watch = maps.watch(&WatchParams::default(), &version).await.unwrap();
    let mut watch = std::pin::pin!(watch);
    assert_eq!((proxy.count("list", "configmaps"), proxy.count("watch", "configmaps")), (1, 1));

    let rule = proxy.add(HttpRule::new(["/configmaps", "watch=true"], HttpAction::Stall));
    maps.create(&PostParams::default(), &config_map("a")).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), watch.next()).await.is_err());
    proxy.remove(rule);
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Added(_)))));

    proxy.add(HttpRule::new(["/configmaps"], HttpAction::Answer(403)));
    let denied = maps.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(denied, kube::Error::Api(status) if status.code == 403));
    proxy.add(HttpRule::new(["/configmaps", "watch=true"], HttpAction::Reset));
    assert!(matches!(watch.next().await, Some(Err(_)) | None));
    proxy.heal();
    assert!(maps.get("a").await.is_ok());
}
