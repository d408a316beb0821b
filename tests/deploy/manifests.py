"""The Kubernetes manifests as data, read without Kubernetes' own tools."""

import re
from pathlib import Path

import yaml

from tests.rig.processes import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "kubernetes"


def documents(folder):
    """Return the objects that the files in ``folder`` declare."""
    return [
        document
        for file in sorted(Path(folder).rglob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
        if "metadata" in document  # the others are Kustomize's own
    ]


def of_kind(kind):
    """Return everything of a kind, by its name."""
    return {it["metadata"]["name"]: it for it in documents(FOLDER) if it["kind"] == kind}


def pod(deployment):
    """Return the specification of a Deployment's pods."""
    return deployment["spec"]["template"]["spec"]


def container(deployment):
    """Return the only container of a Deployment's pods."""
    (only,) = pod(deployment)["containers"]
    return only


def selects(selector, labels):
    """Say whether a selector takes something with these labels."""
    wanted = selector.get("matchLabels", {}).items()
    return wanted <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", ())
    )


def settings_file():
    """Return what all processes have in common."""
    lines = (FOLDER / "base" / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def mounted(deployment):
    """Return the path of each file that is mounted into the container."""
    volumes = {it["name"]: it for it in pod(deployment)["volumes"]}
    found = set()
    for mount in container(deployment)["volumeMounts"]:
        for source in volumes[mount["name"]].get("projected", {}).get("sources", ()):
            found |= {f"{mount['mountPath']}/{it['path']}" for it in source["secret"]["items"]}
        if volumes[mount["name"]].get("configMap", {}).get("name") == "cartwake-ca":
            found |= {f"{mount['mountPath']}/{name}-ca.crt" for name in ("kafka", "redis")}
    return found


def secrets(deployment):
    """Return the names of the Secrets that the container is given anything of."""
    given = {
        it["valueFrom"]["secretKeyRef"]["name"]
        for it in container(deployment)["env"]
        if "valueFrom" in it
    }
    for volume in pod(deployment)["volumes"]:
        given |= {it["secret"]["name"] for it in volume.get("projected", {}).get("sources", ())}
    return given


def variables(deployment, secret_values):
    """Return the environment that Kubernetes would give the container."""
    found = settings_file()
    for it in container(deployment)["env"]:
        if "valueFrom" in it:
            reference = it["valueFrom"]["secretKeyRef"]
            value = secret_values[reference["name"], reference["key"]]
        else:
            value = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], it["value"])
        found[it["name"]] = value
    return found
