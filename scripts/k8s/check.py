"""Checks the Kubernetes files: each object against the schema of its kind, and each command line and
environment variable of pushbench against the program.

    python scripts/k8s/check.py target/debug/pushbench
"""
import pathlib
import subprocess
import sys

import kubernetes_validate
import yaml

FOLDER = pathlib.Path(__file__).parent
VERSION = "1.30"


def program_errors(program, spec, container):
    # The names of the servers are known in the cluster only.
    args = [arg.replace("servers-", "127.0.0.").replace(".servers", "") for arg in container["args"]]
    run = subprocess.run([program, *args, "--help"], capture_output=True, text=True)
    if run.returncode != 0:
        yield f"pushbench {' '.join(args)}: {run.stderr.strip()}"
    variables = [variable["name"] for variable in container.get("env", [])]
    if spec.get("completionMode") == "Indexed":
        variables.append("JOB_COMPLETION_INDEX")
    known = {word.strip("[]").split("=")[0] for word in run.stdout.split()}
    yield from (f"pushbench {args[0]} knows no variable {name}" for name in variables if name not in known)


def errors(program):
    checked = 0
    for path in sorted(FOLDER.glob("*.yaml")):
        for item in yaml.safe_load_all(path.read_text()):
            checked += 1
            try:
                kubernetes_validate.validate(item, VERSION, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{path.name}: {item['kind']}: {error.message}"
            spec = item["spec"]
            for container in spec.get("template", {}).get("spec", {}).get("containers", []):
                if container["image"] == "pushbench":
                    yield from (f"{path.name}: {error}" for error in program_errors(program, spec, container))
    if checked < 10:
        yield f"only {checked} objects were found"


found = list(errors(sys.argv[1]))
print("\n".join(found) or "all objects are valid")
sys.exit(bool(found))
