// Recognizes the host names of Services, and finds the InferenceService to which one belongs.
import type { FoundService } from './inference-service.ts'

/** The Service in a host name. */
export interface ServiceHost {
  readonly service: string
  readonly namespace: string
}

const HOST = /^([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.cluster\.local)?(?::\d+)?$/
// KServe's names of the Services of an InferenceService.
const COMPONENT = /^(?:-(?:predictor|transformer|explainer)(?:-default)?)?$/

/** Parses `{service}.{namespace}.svc[.cluster.local][:port]`; undefined for any other host. */
export function serviceOfHost(host: string): ServiceHost | undefined {
  const [, service, namespace] = HOST.exec(host) ?? []
  return service === undefined || namespace === undefined ? undefined : { service, namespace }
}

/** Finds the InferenceService whose Service it is. */
export function ownerOf(
  { service, namespace }: ServiceHost,
  services: readonly FoundService[],
): FoundService | undefined {
  return services.find(
    (each) =>
      each.namespace === namespace &&
      service.startsWith(each.name) &&
      COMPONENT.test(service.slice(each.name.length)),
  )
}
