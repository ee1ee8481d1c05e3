// Checks the InferenceServices: each is ready, and the configured models point to them.
import { collectionPath, KubeError, type ModelConfig } from '@inferwire/connector'
import { nearestName } from '@inferwire/protocol'
import { fault, notChecked, ok, warning, type Check, type Finding, type Outcome } from '../check.ts'
import { printable } from '../../table.ts'
import { readService, type FoundService } from './inference-service.ts'
import { INFERENCE_SERVICES } from './kube-paths.ts'
import { clusterOf } from './open-cluster.ts'
import { ownerOf, serviceOfHost } from './service-host.ts'

const SERVICES_MAX = 2_000
const FINDINGS_MAX = 50
const FORBIDDEN = 403

export const clusterModels: Check = {
  id: 'cluster.models',
  title: 'each InferenceService is ready',
  needs: ['cluster.kserve'],
  run: async (context, signal) => {
    const cluster = clusterOf(context)
    const findings: Finding[] = []
    for (const namespace of cluster.namespaces) {
      try {
        const path = collectionPath(INFERENCE_SERVICES, namespace)
        const objects = await cluster.api.list(path, { signal, objectsMax: SERVICES_MAX })
        const services = objects.map(readService)
        cluster.services.push(...services)
        findings.push(...judgeServices(services, namespace))
      } catch (error) {
        if (!(error instanceof KubeError)) throw error
        if (error.status === FORBIDDEN) cluster.unreadable.add(namespace)
        else findings.push(fault(`InferenceServices in ${namespace}: ${error.message}.`, error.remedy))
      }
    }
    return withUnreadable(findings, [...cluster.unreadable])
  },
}

export const clusterAddresses: Check = {
  id: 'cluster.addresses',
  title: 'the URLs of configured models lead to InferenceServices',
  needs: ['cluster.models?', 'configuration.file?'],
  run: (context) => {
    const { config } = context
    if ('missing' in config) return notChecked(config.missing)
    const { services, namespaces, unreadable } = clusterOf(context)
    const readable = namespaces.filter((name) => !unreadable.has(name))
    const findings = Object.entries(config.value.models).flatMap(([name, model]) =>
      judgeAddress(name, model, services, readable),
    )
    return findings.length > 0
      ? findings
      : notChecked('no configured model has the URL of a Service in these namespaces')
  },
}

/** Adds the namespaces that this user may not read: a missing right is not a fault of the models. */
export function withUnreadable(findings: readonly Finding[], unreadable: readonly string[]): Outcome {
  if (unreadable.length === 0) return findings
  const what = `InferenceServices in ${unreadable.join(', ')}`
  if (findings.length === 0) {
    return notChecked(`this user may not read the ${what}; use the kubeconfig of an administrator`)
  }
  return [
    ...findings,
    warning(
      `The ${what} were not checked, because this user may not read them.`,
      'Use the kubeconfig of an administrator.',
    ),
  ]
}

/** Judges the readiness of the InferenceServices of one namespace. */
export function judgeServices(services: readonly FoundService[], namespace: string): Finding[] {
  if (services.length === 0) {
    return [
      warning(
        `There are no InferenceServices in the namespace ${namespace}.`,
        'Check the namespace with: kubectl get inferenceservices -A',
      ),
    ]
  }
  const ready = services.filter(({ isReady }) => isReady).length
  const others = services.filter(({ isReady }) => !isReady).slice(0, FINDINGS_MAX)
  const summary = ok(`${ready} of ${services.length} InferenceServices in ${namespace} are ready.`)
  return [...(ready > 0 ? [summary] : []), ...others.map(notReady)]
}

function notReady({ name, namespace, reasons, isStopped }: FoundService): Finding {
  const what = `InferenceService ${namespace}/${name}`
  if (isStopped) {
    return warning(
      `${what} is stopped.`,
      `Start it: kubectl annotate inferenceservice ${name} -n ${namespace} serving.kserve.io/stop-`,
    )
  }
  const why =
    reasons.length === 0 ? 'KServe has not reported a status yet' : reasons.map(printable).join('; ')
  return fault(
    `${what} is not ready: ${why}.`,
    `Find the cause: kubectl describe inferenceservice ${name} -n ${namespace}; kubectl logs -n ${namespace} -l serving.kserve.io/inferenceservice=${name} --all-containers --tail=50`,
  )
}

/** Compares the URL of a configured model with the addresses of the InferenceServices. */
export function judgeAddress(
  name: string,
  { url, host }: Pick<ModelConfig, 'url' | 'host'>,
  services: readonly FoundService[],
  namespaces: readonly string[],
): Finding[] {
  const target = host ?? new URL(url).host
  const place = serviceOfHost(target)
  if (place === undefined || !namespaces.includes(place.namespace)) return []
  const { service, namespace } = place
  const there = services.filter((each) => each.namespace === namespace)
  const owner = ownerOf(place, there)
  const option = host === undefined ? `models.${name}.url` : `models.${name}.host`
  if (owner === undefined) {
    const nearest = nearestName(
      service.replace(/-(predictor|transformer)$/, ''),
      there.map((each) => each.name),
    )
    const hint = there.find((each) => each.name === nearest)?.address
    return [
      fault(
        `${option} leads to ${printable(target)}, but the namespace ${namespace} has no such InferenceService.`,
        hint === undefined
          ? `Correct ${option}; the addresses are listed by: kubectl get inferenceservices -n ${namespace} -o custom-columns=NAME:.metadata.name,ADDRESS:.status.address.url`
          : `Set ${option}: ${host === undefined ? `http://${hint}` : hint}`,
      ),
    ]
  }
  if (owner.address === undefined || sameHost(owner.address, target)) {
    return [ok(`The URL of model "${name}" leads to InferenceService ${namespace}/${owner.name}.`)]
  }
  return [
    warning(
      `${option} leads to ${printable(target)}, but InferenceService ${namespace}/${owner.name} has the address ${printable(owner.address)}.`,
      `Set ${option}: ${host === undefined ? `http://${owner.address}` : owner.address}`,
    ),
  ]
}

function sameHost(one: string, other: string): boolean {
  return shortHost(one) === shortHost(other)
}

function shortHost(host: string): string {
  return host.replace(/:80$/, '').replace(/\.cluster\.local$/, '')
}
