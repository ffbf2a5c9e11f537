"""All rules. To add one: write its file, put it into `RULES`, give it cases in `tests/rules/ID/`."""

from __future__ import annotations

from typing import Final

from manifestgen.rules._rule import KNOWN_ON, Effect, Problem, Rule, Severity, Side
from manifestgen.rules.agent_empty import agent_empty
from manifestgen.rules.agent_missing import agent_missing
from manifestgen.rules.agent_schema_version import agent_schema_version
from manifestgen.rules.agent_shape import agent_shape
from manifestgen.rules.automatic_deployment import automatic_deployment
from manifestgen.rules.bind_form import bind_form
from manifestgen.rules.clear_secret import clear_secret
from manifestgen.rules.create_options_chunks import create_options_chunks
from manifestgen.rules.create_options_json import create_options_json
from manifestgen.rules.create_options_keys import create_options_keys
from manifestgen.rules.create_options_object import create_options_object
from manifestgen.rules.create_options_overridden import create_options_overridden
from manifestgen.rules.create_options_types import create_options_types
from manifestgen.rules.credential_address import credential_address
from manifestgen.rules.credential_missing import credential_missing
from manifestgen.rules.credential_shape import credential_shape
from manifestgen.rules.credential_twice import credential_twice
from manifestgen.rules.credential_unused import credential_unused
from manifestgen.rules.debug_image import debug_image
from manifestgen.rules.device_request import device_request
from manifestgen.rules.duplicate_key import duplicate_key
from manifestgen.rules.edge_agent_missing import edge_agent_missing
from manifestgen.rules.edge_hub_missing import edge_hub_missing
from manifestgen.rules.elevated import elevated
from manifestgen.rules.entry_key import entry_key
from manifestgen.rules.entry_shape import entry_shape
from manifestgen.rules.env_key import env_key
from manifestgen.rules.env_shape import env_shape
from manifestgen.rules.floating_tag import floating_tag
from manifestgen.rules.healthcheck_duration import healthcheck_duration
from manifestgen.rules.host_network import host_network
from manifestgen.rules.hub_ports import hub_ports
from manifestgen.rules.hub_schema_version import hub_schema_version
from manifestgen.rules.hub_shape import hub_shape
from manifestgen.rules.idle_status import idle_status
from manifestgen.rules.ignored_property import ignored_property
from manifestgen.rules.image_format import image_format
from manifestgen.rules.image_name import image_name
from manifestgen.rules.image_pull_policy import image_pull_policy
from manifestgen.rules.layer_partial_module import layer_partial_module
from manifestgen.rules.layer_replaces_hub import layer_replaces_hub
from manifestgen.rules.layer_system_modules import layer_system_modules
from manifestgen.rules.many_modules import many_modules
from manifestgen.rules.misplaced_section import misplaced_section
from manifestgen.rules.module_name import module_name
from manifestgen.rules.module_shape import module_shape
from manifestgen.rules.module_status import module_status
from manifestgen.rules.module_type import module_type
from manifestgen.rules.mqtt_broker import mqtt_broker
from manifestgen.rules.mqtt_broker_unused import mqtt_broker_unused
from manifestgen.rules.never_pulled import never_pulled
from manifestgen.rules.not_a_manifest import not_a_manifest
from manifestgen.rules.not_json import not_json
from manifestgen.rules.old_spelling import old_spelling
from manifestgen.rules.other_tools import other_tools
from manifestgen.rules.overwritten_env import overwritten_env
from manifestgen.rules.placeholder import placeholder
from manifestgen.rules.port_conflict import port_conflict
from manifestgen.rules.property_case import property_case
from manifestgen.rules.proxy_on_one import proxy_on_one
from manifestgen.rules.reserved_name import reserved_name
from manifestgen.rules.restart_policy import restart_policy
from manifestgen.rules.retired_image import retired_image
from manifestgen.rules.root_user import root_user
from manifestgen.rules.route_loop import route_loop
from manifestgen.rules.route_meaning import route_meaning
from manifestgen.rules.route_module import route_module
from manifestgen.rules.route_shape import route_shape
from manifestgen.rules.route_source_case import route_source_case
from manifestgen.rules.route_syntax import route_syntax
from manifestgen.rules.route_type import route_type
from manifestgen.rules.routeless_name import routeless_name
from manifestgen.rules.runtime_storage import runtime_storage
from manifestgen.rules.runtime_type import runtime_type
from manifestgen.rules.short_module_name import short_module_name
from manifestgen.rules.small_device import small_device
from manifestgen.rules.startup_order import startup_order
from manifestgen.rules.storage_owner import storage_owner
from manifestgen.rules.store_missing import store_missing
from manifestgen.rules.store_time import store_time
from manifestgen.rules.support_ended import support_ended
from manifestgen.rules.text_encoding import text_encoding
from manifestgen.rules.twin_limits import twin_limits
from manifestgen.rules.twin_module import twin_module
from manifestgen.rules.twin_secret import twin_secret
from manifestgen.rules.twin_size import twin_size
from manifestgen.rules.upstream_protocol import upstream_protocol
from manifestgen.rules.version_skew import version_skew
from manifestgen.rules.weak_restart_policy import weak_restart_policy

__all__ = ["BY_ID", "KNOWN_ON", "RULES", "Effect", "Problem", "Rule", "Severity", "Side"]

#: Every rule: those about the text first, then by name.
RULES: Final[tuple[Rule, ...]] = (
    not_json,
    not_a_manifest,
    duplicate_key,
    text_encoding,
    placeholder,
    agent_empty,
    agent_missing,
    agent_schema_version,
    agent_shape,
    automatic_deployment,
    bind_form,
    clear_secret,
    create_options_chunks,
    create_options_json,
    create_options_keys,
    create_options_object,
    create_options_overridden,
    create_options_types,
    credential_address,
    credential_missing,
    credential_shape,
    credential_twice,
    credential_unused,
    debug_image,
    device_request,
    edge_agent_missing,
    edge_hub_missing,
    elevated,
    entry_key,
    entry_shape,
    env_key,
    env_shape,
    floating_tag,
    healthcheck_duration,
    host_network,
    hub_ports,
    hub_schema_version,
    hub_shape,
    idle_status,
    ignored_property,
    image_format,
    image_name,
    image_pull_policy,
    layer_partial_module,
    layer_replaces_hub,
    layer_system_modules,
    many_modules,
    misplaced_section,
    module_name,
    module_shape,
    module_status,
    module_type,
    mqtt_broker,
    mqtt_broker_unused,
    never_pulled,
    old_spelling,
    other_tools,
    overwritten_env,
    port_conflict,
    property_case,
    proxy_on_one,
    reserved_name,
    restart_policy,
    retired_image,
    root_user,
    route_loop,
    route_meaning,
    route_module,
    route_shape,
    route_source_case,
    route_syntax,
    route_type,
    routeless_name,
    runtime_storage,
    runtime_type,
    short_module_name,
    small_device,
    startup_order,
    storage_owner,
    store_missing,
    store_time,
    support_ended,
    twin_limits,
    twin_module,
    twin_secret,
    twin_size,
    upstream_protocol,
    version_skew,
    weak_restart_policy,
)

BY_ID: Final = {rule.id: rule for rule in RULES}
