#!/usr/bin/env python3
"""Writes the manifests beside it: a small shop of 300 objects, the same each time."""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
NAMESPACES = {"shop": "production", "payments": "production", "search": "production", "sandbox": "test"}
TEAMS = ["red", "green", "blue"]


def meta(namespace, name, number):
    return {"name": name, "namespace": namespace, "labels": {"app": name, "team": TEAMS[number % len(TEAMS)]}}


def deployment(namespace, number):
    name = f"app-{number:03}"
    containers = [{"name": "main", "image": f"registry.example/{namespace}/{name}:1.{number % 7}.0"}]
    if number % 5 == 0:
        containers.append({"name": "proxy", "image": "registry.example/base/proxy:2.1.4"})
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}
    spec = {"replicas": 1 + number % 4, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(namespace, name, number), "spec": spec}


def config_map(namespace, number):
    name = f"app-{number:03}-settings"
    data = {"mode": "fast" if number % 2 else "safe", "level": str(number % 3)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(namespace, name, number), "data": data}


def text(value, indent=0):
    """YAML of plain maps, lists, numbers and strings."""
    pad = " " * indent
    if isinstance(value, dict):
        lines = []
        for key, inner in value.items():
            if isinstance(inner, (dict, list)):
                lines.append(f"{pad}{key}:\n{text(inner, indent + 2)}")
            else:
                lines.append(f"{pad}{key}: {json.dumps(inner) if isinstance(inner, str) and ':' in inner or str(inner).isdigit() and isinstance(inner, str) else inner}")
        return "\n".join(lines)
    return "\n".join(f"{pad}- {text(item, indent + 2).lstrip()}" for item in value)


def main():
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"env": env}}}
        for name, env in NAMESPACES.items()
    ]
    (HERE / "namespaces.yaml").write_text("\n---\n".join(text(space) for space in spaces) + "\n")
    for at, namespace in enumerate(NAMESPACES):
        numbers = range(at * 37, at * 37 + 37)
        apps = [deployment(namespace, number) for number in numbers]
        maps = [config_map(namespace, number) for number in numbers]
        (HERE / f"{namespace}-apps.yaml").write_text("\n---\n".join(text(app) for app in apps) + "\n")
        listed = {"apiVersion": "v1", "kind": "List", "items": maps}
        (HERE / f"{namespace}-settings.json").write_text(json.dumps(listed, separators=(",", ":")) + "\n")


main()
