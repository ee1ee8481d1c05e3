// Calls a function for each configured model, several at a time.
import { openModelProbe, type ConnectorConfig, type ModelConfig, type ModelProbe } from '@inferwire/connector'
import { fault, type Finding } from '../check.ts'
import type { DoctorContext } from '../context.ts'

type Facts = Awaited<ReturnType<ModelProbe['facts']>>

const PARALLEL_MAX = 8

const remembered = new WeakMap<DoctorContext, Map<string, Facts>>()

/** Keeps a model's metadata for later checks. */
export function rememberFacts(context: DoctorContext, name: string, facts: Facts): void {
  const all = remembered.get(context) ?? new Map<string, Facts>()
  remembered.set(context, all.set(name, facts))
}

/** Returns the metadata that `models.metadata` read. */
export function factsOf(context: DoctorContext, name: string): Facts | undefined {
  return remembered.get(context)?.get(name)
}

/** Returns the findings of all models, in the order of the configuration. */
export async function forEachModel(
  { config }: DoctorContext,
  check: (name: string, model: ModelConfig, probe: ModelProbe) => Promise<readonly Finding[]>,
): Promise<Finding[]> {
  if ('missing' in config) return []
  const { credentials } = config.value
  const models = Object.entries(config.value.models)
  const findings: (readonly Finding[])[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let index = next++; index < models.length; index = next++) {
      findings[index] = await checkOne(...models[index]!, credentials, check)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL_MAX }, work))
  return findings.flat()
}

async function checkOne(
  name: string,
  model: ModelConfig,
  credentials: ConnectorConfig['credentials'],
  check: (name: string, model: ModelConfig, probe: ModelProbe) => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  let probe: ModelProbe
  try {
    probe = openModelProbe(name, model, credentials)
  } catch (error) {
    return [fault(`Model "${name}": ${(error as Error).message}`, `Correct the files of models.${name}.`)]
  }
  try {
    return await check(name, model, probe)
  } finally {
    await probe.close()
  }
}
