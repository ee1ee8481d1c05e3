// Maps an InferenceGraph: its router takes the body of the first step on any path.
import { DIALECTS, dialectOfKind } from '@inferwire/protocol'
import { conditionOf } from './condition.ts'
import { isRefusal, type Refusal } from './discovered-model.ts'
import { withAddress } from './inference-service.ts'
import { textAt } from './untrusted-object.ts'
import type { KindFacts, KindInput } from './kind-facts.ts'
import { gatewayAddress, serviceAddress } from './service-address.ts'

/** Maps an InferenceGraph. KServe reports it as ready even if its router has no pod yet. */
export function inferenceGraph({ key, object, rules }: KindInput): KindFacts | Refusal {
  const { gateway, clusterDomain } = rules
  const external = textAt(object, 'status', 'url')
  // The status contains only the external URL; its presence shows that the router's Service exists.
  const service = `http://${key.name}.${key.namespace}.svc.${clusterDomain}`
  const address =
    external === undefined
      ? undefined
      : gateway === undefined
        ? serviceAddress(key, service, rules)
        : gatewayAddress(key, external, gateway)
  if (isRefusal(address)) return address
  const dialect = dialectOfKind(key.kind)
  return {
    condition: withAddress(conditionOf(object, false), address),
    address,
    protocolVersion: dialect,
    modelName: undefined,
    // A query for metadata would run the graph, as any other request does.
    traits: { queries: 'never', operations: [DIALECTS[dialect].defaultOperation] },
  }
}
