// Runs `inferwire policy test`.
import { explainPolicy, exposedNames, type ConnectorConfig } from '@inferwire/connector'
import {
  isCleanLevel,
  isModelName,
  isOperationName,
  nearestName,
  OPERATIONS,
  type OperationName,
} from '@inferwire/protocol'
import { usageError } from '../cli-error.ts'
import { loadFromFile } from '../config/load-from-file.ts'
import { EXIT } from '../exit-code.ts'
import { formatReport } from './format-report.ts'
import type { PolicyReport } from './policy-report.ts'
import { ruleSources } from './rule-sources.ts'
import { toDecisions } from './to-decisions.ts'

/** The options of the command. */
export interface PolicyTestFlags {
  readonly config?: string
  readonly output?: 'json'
}

/** The arguments of the command. */
interface PolicyTestArguments {
  readonly client: string
  readonly model: string
  readonly operation: string | undefined
}

/**
 * Prints the decision, and sets the exit code.
 * @throws CliError for an argument that no topic can contain; ConfigError with all mistakes
 */
export function testPolicy({ client, model, operation }: PolicyTestArguments, flags: PolicyTestFlags): void {
  checkNames(client, model)
  const config = loadFromFile(flags.config)
  const operations =
    operation !== undefined && isOperationName(operation)
      ? [operation]
      : (Object.keys(OPERATIONS) as OperationName[])
  const explained = operations.map((each) => [each, explainPolicy(config, client, model, each)] as const)
  const report: PolicyReport = {
    client,
    model,
    allowed: explained.some(([, { isAllowed }]) => isAllowed),
    decisions: toDecisions(explained, ruleSources(flags.config)),
    client_limits: {
      in_flight_max: config.limits.client.inFlightMax,
      requests_per_second: config.limits.client.requestsPerSecond,
    },
    model_request_bytes_max: configured(config, model)?.limits.requestBytesMax,
    notes: notesOf(config, model),
  }
  process.stdout.write(
    flags.output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report),
  )
  if (!report.allowed) process.exitCode = EXIT.notAuthorized
}

function checkNames(client: string, model: string): void {
  if (!isCleanLevel(client)) {
    throw usageError(
      `"${client}" cannot be a client's name in a topic.`,
      'Give one topic level: no "/", "+", "#" or control characters, at most 255 characters.',
    )
  }
  if (!isModelName(model)) {
    throw usageError(
      `"${model}" cannot be a model's name in a topic.`,
      'Give NAME or NAME@VERSION: letters, digits, ".", "_", "-", at most 253 characters.',
    )
  }
}

function configured(
  { models }: ConnectorConfig,
  name: string,
): ConnectorConfig['models'][string] | undefined {
  return Object.entries(models).find(([each, model]) => exposedNames(each, model).includes(name))?.[1]
}

// A name that matches a rule may still not exist.
function notesOf(config: ConnectorConfig, model: string): string[] {
  if (configured(config, model) !== undefined) return []
  const names = Object.entries(config.models).flatMap(([name, each]) => exposedNames(name, each))
  const near = nearestName(model, names)
  const hint = near === undefined ? '' : ` Did you mean "${near}"?`
  const isElsewhere = config.discovery.enabled ? ' A model with this name may be found in the cluster.' : ''
  return [`The configuration has no model "${model}".${isElsewhere}${hint}`]
}
