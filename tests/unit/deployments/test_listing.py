"""What a hub has of deployments, and deleting one."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.deployments.deployments import Clock, deployment, fleet, scorer

from manifestgen.cloud import Configuration
from manifestgen.deployments.deployment import configurations
from manifestgen.deployments.listing import delete, named, own
from manifestgen.deployments.proposal import propose
from manifestgen.deployments.replace import carry_out, replace
from manifestgen.deployments.rollback import rollback_target
from manifestgen.deployments.snapshots import snapshots
from manifestgen.errors import InputError, NotFoundError
from manifestgen.report.deployment_list import configuration_data, configuration_text, list_text


def test_the_one_that_wins_comes_first_and_no_content_is_shown() -> None:
    hub = fleet(2)
    replace(hub, deployment(1, priority=5), patience=Clock().patience())
    hub.create_configuration(Configuration("of-az", scorer("canary"), "tags.site = 'shop'", 50))
    found = configurations(hub)
    assert [each.id for each in found] == ["of-az", deployment(1).id]
    lines = list(list_text(found))
    assert "priority   50" in lines[0] and "tags.site = 'lab'" in lines[1] and "targets 2" in lines[1]
    shown = configuration_text(found[0])
    assert "(not manifestgen's)" in shown and "scorer" in shown and "canary" not in shown
    data = configuration_data(found[1])
    assert (data["name"], data["modules"], data["counts"]["targetedCount"]) == ("scorer", ["scorer"], 2)


def test_it_is_found_by_its_name_or_an_id() -> None:
    hub = fleet(1)
    replace(hub, deployment(1), patience=Clock().patience())
    assert named(hub, "Scorer")[0].id == deployment(1).id
    assert named(hub, deployment(1).id)[0].id == deployment(1).id
    with pytest.raises(NotFoundError, match="no such deployment") as caught:
        named(hub, "nobody")
    assert "'manifestgen deployment list'" in caught.value.fix


def test_what_somebody_else_created_is_not_deleted() -> None:
    hub = fleet(1)
    hub.create_configuration(Configuration("of-az", scorer(1), "*", 50))
    with pytest.raises(InputError, match="manifestgen did not create it"):
        own(hub, "of-az")


def test_deleting_takes_all_of_it_the_lowest_first_and_can_be_undone(tmp_path: Path) -> None:
    hub = fleet(1)
    replace(hub, deployment(1), patience=Clock().patience())
    carry_out(hub, propose(hub, deployment(2)), state=tmp_path / "elsewhere", patience=None)
    gone = [each.id for each in delete(hub, own(hub, "scorer"), tmp_path)]
    assert gone == [deployment(1).id, deployment(2).id]
    assert hub.configurations() == []
    assert [each.deployment.id for each in snapshots(hub.host, "scorer", tmp_path)] == [deployment(2).id]
    was, _ = rollback_target(hub, "scorer", tmp_path, None)
    assert was == deployment(2)


def test_nothing_is_deleted_without_a_snapshot(tmp_path: Path) -> None:
    hub = fleet(1)
    replace(hub, deployment(1), patience=Clock().patience())
    (tmp_path / "deployments").write_text("a file where the folder belongs")
    with pytest.raises(InputError, match="could not write the snapshot"):
        list(delete(hub, own(hub, "scorer"), tmp_path))
    assert len(hub.configurations()) == 1
