"""How long one `render` takes and how much memory, against the least that a Jinja2 program can take.

    python tests/bench/render.py [ROUNDS]

Both render the same template of ten modules, each in a process of its own, by turns; the floor only loads the template
and its values with Jinja2, renders, and checks that the result is JSON. Goals: 1.6 times the floor, 45 MiB.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODULES = 10

FLOOR = """\
import json, sys
import jinja2

env = jinja2.Environment(loader=jinja2.FileSystemLoader("."), undefined=jinja2.StrictUndefined)
env.filters["tojson"] = json.JSONEncoder(separators=(",", ":")).encode
with open("values.json") as stream:
    values = json.load(stream)
text = env.get_template("t.json.j2").render(values)
json.loads(text)
sys.stdout.write(text)
"""

TEMPLATE = """\
{%- macro env(pairs) -%}
{ {%- for k, v in pairs.items() -%}"{{ k }}": {"value": {{ v | tojson }}}{{ ", " if not loop.last }}{%- endfor -%} }
{%- endmacro -%}
{
  "modulesContent": {
    "$edgeAgent": {
      "properties.desired": {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25", "registryCredentials": {}}},
        "systemModules": {
          {%- for name in ["edgeAgent", "edgeHub"] %}
          "{{ name }}": {
            "type": "docker",
            {%- if name == "edgeHub" %}
            "status": "running",
            "restartPolicy": "always",
            {%- endif %}
            "env": {{ env({"RuntimeLogLevel": log_level}) }},
            "settings": {
              "image": "mcr.microsoft.com/azureiotedge-{{ name | replace("edge", "") | lower }}:{{ runtime }}",
              "createOptions": {{ {"ExposedPorts": {"443/tcp": {}}} | tojson | tojson }}
            }
          }{{ "," if not loop.last }}
          {%- endfor %}
        },
        "modules": {
          {%- for m in modules %}
          "{{ m.name }}": {
            "version": "{{ m.version }}",
            "type": "docker",
            "status": "running",
            "restartPolicy": "always",
            "startupOrder": {{ loop.index }},
            "settings": {
              "image": "mcr.microsoft.com/{{ m.repository }}:{{ m.version }}",
              "createOptions": {{ {"HostConfig": {"Binds": m.binds, "Memory": m.memory}} | tojson | tojson }}
            },
            "env": {{ env({"SITE": site, "LOG_LEVEL": log_level, "INTERVAL": m.interval}) }}
          }{{ "," if not loop.last }}
          {%- endfor %}
        }
      }
    },
    "$edgeHub": {
      "properties.desired": {
        "schemaVersion": "1.1",
        "routes": {
          {%- for m in modules %}
          "{{ m.name }}": "FROM /messages/modules/{{ m.name }}/outputs/* INTO $upstream"{{ "," if not loop.last }}
          {%- endfor %}
        },
        "storeAndForwardConfiguration": {"timeToLiveSecs": {{ ttl }}}
      }
    }
  }
}
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "floor.py").write_text(FLOOR)
        (root / "t.json.j2").write_text(TEMPLATE)
        (root / "values.json").write_text(json.dumps(values()))
        (root / "manifestgen.yaml").write_text(
            "version: 1\nmanifest:\n  template: t.json.j2\n  values: " + json.dumps(values()) + "\n"
        )
        floor = [sys.executable, "floor.py"]
        ours = [sys.executable, "-m", "manifestgen", "render", "-o", "-"]
        same = [
            json.loads(subprocess.run(command, cwd=root, capture_output=True, check=True).stdout)
            for command in (floor, ours)
        ]
        assert same[0] == same[1], "the two do not render the same manifest"
        times: dict[str, list[float]] = {"floor": [], "ours": []}
        peaks: dict[str, float] = {}
        for _ in range(rounds):
            for name, command in (("floor", floor), ("ours", ours)):
                seconds, peak = measure(command, root)
                times[name].append(seconds)
                peaks[name] = max(peak, peaks.get(name, 0))
    for name, taken in times.items():
        median, least = statistics.median(taken) * 1000, min(taken) * 1000
        print(f"{name:<6} median {median:6.1f} ms  least {least:6.1f} ms  {peaks[name]:5.1f} MiB")
    ratio = statistics.median(times["ours"]) / statistics.median(times["floor"])
    print(f"render takes {ratio:.2f} times the floor (goal 1.60), {peaks['ours']:.1f} MiB (goal 45)")


def values() -> dict[str, object]:
    modules = [
        {"name": f"module{n}", "version": f"1.{n}.0", "repository": f"samples/module{n}", "memory": 2**20 * n,
         "interval": 100 * n, "binds": [f"/srv/module{n}:/data"]}
        for n in range(1, MODULES + 1)
    ]  # fmt: skip
    return {"runtime": "1.6", "log_level": "info", "site": "hall 3", "ttl": 7200, "modules": modules}


def measure(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak MiB of one run."""
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
