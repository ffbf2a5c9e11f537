// Runs Node's azure-iothub against the sandbox; `table` runs this file. Node does not heed HTTPS_PROXY by itself: an
// agent does, of the package https-proxy-agent. Prints one JSON line for each operation.
'use strict';

const { Registry } = require('azure-iothub');
const { HttpsProxyAgent } = require('https-proxy-agent');

const registry = Registry.fromConnectionString(process.env.IOTHUB_CONNECTION_STRING);
registry._restApiClient.setOptions({ http: { agent: new HttpsProxyAgent(process.env.HTTPS_PROXY) } });
const device = 'node-device';
const content = { deviceContent: { 'properties.desired.limit': 5 } };
const body = (answer) => answer.responseBody;

const attempts = [
  ['Registry.create', async () => body(await registry.create({ deviceId: device })).authentication.symmetricKey.primaryKey],
  ['Registry.get', async () => body(await registry.get(device)).deviceId === device],
  ['Registry.list', async () => body(await registry.list()).some((one) => one.deviceId === 'edge-01')],
  ['Registry.update', async () => body(await registry.update({ deviceId: device, status: 'disabled' })).status === 'disabled'],
  ['Registry.addModule', async () => body(await registry.addModule({ deviceId: device, moduleId: 'm' })).moduleId === 'm'],
  ['Registry.getModulesOnDevice', async () => body(await registry.getModulesOnDevice(device)).length === 1],
  ['Registry.updateTwin', async () => body(await registry.updateTwin(device, { tags: { site: 'lab' } }, '*')).tags.site === 'lab'],
  ['Registry.getTwin', async () => body(await registry.getTwin(device)).deviceId === device],
  ['Registry.createQuery', async () =>
    (await registry.createQuery("SELECT * FROM devices WHERE tags.site = 'lab'").nextAsTwin()).result.length === 1],
  ['Registry.addConfiguration', async () =>
    body(await registry.addConfiguration({ id: 'node', content, targetCondition: "tags.site = 'lab'", priority: 1 })).id === 'node'],
  ['Registry.getConfigurations', async () => body(await registry.getConfigurations()).length === 1],
  ['Registry.removeConfiguration', async () => (await registry.removeConfiguration('node')) !== undefined],
  ['Registry.applyConfigurationContentOnDevice', async () =>
    (await registry.applyConfigurationContentOnDevice('edge-01', JSON.parse(process.env.MANIFEST))) !== undefined],
  ['Registry.getRegistryStatistics', async () => body(await registry.getRegistryStatistics()).totalDeviceCount >= 2],
  ['Registry.delete', async () => (await registry.delete(device)) !== undefined],
  ['Registry.listJobs', async () => Array.isArray(body(await registry.listJobs()))],
];

async function main() {
  for (const [what, attempt] of attempts) {
    let result = 'works';
    try {
      if (!(await attempt())) result = 'the answer lacks what was expected';
    } catch (error) {
      result = `${error.name}: ${String(error.message).split('\n')[0]}`;
    }
    console.log(JSON.stringify({ client: 'azure-iothub', what, result }));
  }
}

main();
