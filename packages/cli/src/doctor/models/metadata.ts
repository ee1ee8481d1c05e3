// Checks each configured model: its server answers, and has the model under the configured name.
import { nearestName, Problem, PROBLEMS } from '@inferwire/protocol'
import type { ModelConfig, ModelProbe } from '@inferwire/connector'
import { fault, notChecked, ok, warning, type Check, type Finding } from '../check.ts'
import { printable } from '../../table.ts'
import { serviceOfHost } from '../cluster/service-host.ts'
import { forEachModel, rememberFacts } from './each-model.ts'

const NAMES_MAX = 10

export const modelsMetadata: Check = {
  id: 'models.metadata',
  title: 'each configured model answers on its server',
  needs: ['configuration.file'],
  run: async (context, signal) => {
    const { config } = context
    if ('missing' in config) return notChecked(config.missing)
    if (Object.keys(config.value.models).length === 0) return notChecked('no models are configured')
    return forEachModel(context, async (name, model, probe) => {
      try {
        const facts = await probe.facts(signal)
        rememberFacts(context, name, facts)
        const missing = [...(facts.ofVersions ?? [])].filter(([, version]) => version.state === 'missing')
        if (missing.length > 0) {
          return missing.map(([version]) =>
            warning(
              `The server of model "${name}" does not have version ${printable(version)}.`,
              `Load the version, or remove it from models.${name}.versions.`,
            ),
          )
        }
        const tensors = facts.inputs === undefined ? '' : `, ${facts.inputs.length} inputs`
        return [ok(`The model "${name}" answers (${facts.protocolVersions.join(', ')}${tensors}).`)]
      } catch (error) {
        return [await explain(name, model, probe, Problem.from(error), signal)]
      }
    })
  },
}

async function explain(
  name: string,
  model: ModelConfig,
  probe: ModelProbe,
  problem: Problem,
  signal: AbortSignal,
): Promise<Finding> {
  const names = problem.code === 'model_not_ready' ? await probe.names(signal) : []
  return judgeModelProblem(name, model, problem, names)
}

/** Explains why a model's metadata could not be read. `names` are the models that the server lists. */
export function judgeModelProblem(
  name: string,
  model: Pick<ModelConfig, 'modelName' | 'url' | 'host'>,
  problem: Problem,
  names: readonly string[],
): Finding {
  const asked = model.modelName ?? name
  if (names.length > 0 && !names.includes(asked)) {
    const nearest = nearestName(asked, names) ?? (names.length === 1 ? names[0] : undefined)
    const list = names.slice(0, NAMES_MAX).map(printable).join(', ')
    return fault(
      `The server of model "${name}" has no model "${asked}"; its models are: ${list}.`,
      `Set models.${name}.modelName: ${nearest === undefined ? 'to one of them' : printable(nearest)}`,
    )
  }
  const detail = problem.detail === undefined ? '' : ` (${printable(problem.detail)})`
  return fault(`Model "${name}": ${printable(problem.message)}${detail}`, remedyOf(name, model, problem))
}

function remedyOf(name: string, { url, host }: Pick<ModelConfig, 'url' | 'host'>, problem: Problem): string {
  const { refusal, code } = problem
  if (refusal !== undefined) {
    const remedy = refusal.remedy.replaceAll('models.*', `models.${name}`)
    return DENIALS.has(refusal.name) ? `${remedy}${policyHint(host ?? new URL(url).host)}` : remedy
  }
  const remedies: Partial<Record<Problem['code'], string>> = {
    upstream_unreachable: `Check models.${name}.url and that the model server runs: kubectl get inferenceservice -A; kubectl get pods. A connection that times out is blocked by a NetworkPolicy or firewall.`,
    unauthorized_upstream: `Set models.${name}.credential to a credential that the server or the gateway in front of it accepts.`,
    upstream_invalid_response: `Check models.${name}.url, models.${name}.host and models.${name}.protocolVersion: something else than a model server answers.`,
    model_not_ready: `Wait until the model is loaded: kubectl get inferenceservice -A. If its name on the server differs, set models.${name}.modelName.`,
  }
  return remedies[code] ?? PROBLEMS[code].remedy
}

// Refusals for which an AuthorizationPolicy is missing.
const DENIALS = new Set(['gateway_denied', 'predictor_denied', 'mesh_denied'])

// The check `cluster.authorization` prints a policy for the ServiceAccount and the mode that the cluster has.
function policyHint(host: string): string {
  const place = serviceOfHost(host)
  const namespace = place?.namespace ?? 'NAMESPACE'
  return `\nPrint the policy: inferwire doctor -c FILE -n ${namespace}`
}
