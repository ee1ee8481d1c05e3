// Faults of connectors and models.
import { execFileSync } from 'node:child_process'
import { runConnector } from '../fixtures/connector.ts'
import { json, text } from '../rig/answers.ts'
import { FakeModelServer } from '../rig/model-server.ts'
import type { PlantedFault } from './planted-fault.ts'
import { modelServer, namedOtherwise, withModel } from './plants.ts'
import { CANARIES } from './world.ts'

// Recorded from Envoy with Istio's filters; conformance/gate runs the real one.
const DENIED = 'RBAC: access denied'
const BEHIND_ENVOY = { server: 'istio-envoy', 'x-envoy-upstream-service-time': '1' }
const INVALID_TOKEN = {
  server: 'istio-envoy',
  'www-authenticate': 'Bearer realm="http://gateway/v2", error="invalid_token"',
}
const withoutRoute: Parameters<typeof modelServer>[1] = ({ response }) => {
  response.writeHead(404, { server: 'istio-envoy' })
  response.end()
}

/** Faults of connectors and models. */
export const SERVICE_FAULTS: readonly PlantedFault[] = [
  {
    name: 'no connector',
    world: { connector: false },
    plant: ({ config }) => ({ config }),
    faults: ['connector.status', 'connector.answer'],
    message: /No connector has published a status/,
    remedy: /inferwire connect/,
  },
  {
    name: 'a connector that was stopped',
    world: {},
    plant: async ({ config, connector }) => {
      await connector!.connector.stop()
      return { config }
    },
    faults: ['connector.status', 'connector.answer'],
    message: /is offline/,
    remedy: /kubectl logs/,
  },
  {
    name: 'two connectors that do not share requests',
    world: {},
    plant: async ({ config }, later) => {
      const second = await runConnector(config)
      later(() => second.connector.stop())
      return { config }
    },
    faults: ['connector.replicas'],
    message: /each execute every request for model "iris"/,
    remedy: /Set broker\.share/,
  },
  {
    name: 'a configured model that the connector does not expose',
    plant: ({ config, upstream }) => ({
      config: { ...config, models: { ...config.models, digits: { url: upstream.url } } },
    }),
    faults: ['connector.models'],
    message: /"digits" is configured, but no connector exposes it/,
    remedy: /kill -HUP/,
  },
  {
    name: 'the card of a model that no connector serves',
    world: {},
    plant: ({ broker, config }) => {
      const words = `-p ${broker.port} -u inferwire -P ${CANARIES.inferwire} -r -t infer/models/old -m {}`
      execFileSync('mosquitto_pub', words.split(' '))
      return { config }
    },
    faults: [],
    warnings: ['connector.cards'],
    message: /"old" is retained, but no connector serves the model/,
    remedy: /mosquitto_pub -r -n -t 'infer\/models\/old'/,
  },
  {
    name: 'a model server that does not run',
    world: {},
    plant: async ({ config, upstream }) => {
      await upstream.stop()
      return { config }
    },
    faults: ['models.metadata'],
    message: /"iris": The model server refuses connections/,
    remedy: /Check models\.iris\.url/,
  },
  {
    name: 'another name of the model on its server',
    plant: async ({ config }, later) => ({
      config: withModel(config, await modelServer(later, namedOtherwise)),
    }),
    faults: ['models.metadata'],
    message: /has no model "iris"; its models are: iris-v2/,
    remedy: /models\.iris\.modelName: iris-v2/,
  },
  {
    name: 'a gateway that rejects an expired token',
    plant: async ({ config }, later) => ({
      config: withModel(
        config,
        await modelServer(later, text(401, 'text/plain', 'Jwt is expired', INVALID_TOKEN)),
      ),
    }),
    faults: ['models.metadata'],
    message: /rejected the token of the connector/,
    remedy: /token file was not renewed/,
  },
  {
    name: "a sidecar of the model's pod that does not allow the connector",
    plant: async ({ config }, later) => ({
      config: withModel(config, await modelServer(later, text(403, 'text/plain', DENIED, BEHIND_ENVOY))),
    }),
    faults: ['models.metadata'],
    message: /service mesh does not allow the connector/,
    remedy: /AuthorizationPolicy[\s\S]*inferwire doctor -c FILE -n/,
  },
  {
    name: 'a gateway without a route to the model',
    plant: async ({ config }, later) => ({
      config: withModel(config, await modelServer(later, withoutRoute)),
    }),
    faults: ['models.metadata'],
    message: /gateway has no route to the model/,
    remedy: /Check models\.iris\.host/,
  },
  {
    name: 'a login page in front of the model server',
    plant: async ({ config }, later) => ({
      config: withModel(config, await modelServer(later, text(200, 'text/html', '<!DOCTYPE html>'))),
    }),
    faults: ['models.metadata'],
    message: /web page|login/,
    remedy: /Check models\.iris\.url|credential/,
  },
  {
    name: 'a model that does not answer its example',
    plant: async ({ config }, later) => {
      const server = await FakeModelServer.start({ answer: json(500, { error: 'broken' }) })
      later(() => server.stop())
      return { config: withModel(config, server.url), options: { sample: true } }
    },
    faults: ['models.sample'],
    message: /does not answer its example.*broken/,
    remedy: /models\.iris\.example/,
  },
]
