// Formats the report of `inferwire policy test` for a terminal.
import { OPERATIONS } from '@inferwire/protocol'
import { printable } from '../table.ts'
import type { PolicyDecision, PolicyReport, RuleReport } from './policy-report.ts'

const COLUMN = 15

/** Returns aligned `Name:  value` lines: client and model, a block for each decision, then the notes. */
export function formatReport(report: PolicyReport): string {
  const { client, model, decisions, notes } = report
  const lines = [
    row('Client', client),
    row('Model', model),
    ...decisions.flatMap((decision) => ['', ...blockOf(decision, report)]),
    ...(notes.length === 0 ? [] : ['']),
    ...notes.map((note) => row('Note', note)),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

function blockOf(decision: PolicyDecision, report: PolicyReport): string[] {
  const { operations, allowed, reason, rules } = decision
  const isAll = operations.length === Object.keys(OPERATIONS).length
  return [
    row('Operations', isAll ? 'all' : operations.join(', ')),
    row('Decision', `${allowed ? 'allowed' : 'denied'}: ${reason}`),
    ...rules.map((rule) => row('Rule', ruleText(rule, allowed))),
    ...(allowed ? limitsOf(decision, report) : remedyOf(decision, report, isAll)),
  ]
}

function ruleText({ path, source, mismatch, ...limits }: RuleReport, isAllowed: boolean): string {
  const place = source === undefined ? path : `${path} (${source})`
  if (!isAllowed) return `${place} ${mismatch ?? ''}`
  const { request_bytes_max: bytes, requests_per_second: perSecond, burst } = limits
  const parts = [
    bytes === undefined ? 'any size' : `up to ${bytes} bytes`,
    perSecond === undefined ? 'any rate' : `${perSecond} requests per second, ${burst ?? 1} at once`,
  ]
  return `${place}: ${parts.join(', ')}`
}

function limitsOf({ priority_max: priority }: PolicyDecision, report: PolicyReport): string[] {
  const { in_flight_max: inFlight, requests_per_second: perSecond } = report.client_limits
  const bytes = report.model_request_bytes_max
  const rate = perSecond === undefined ? '' : `, ${perSecond} requests per second`
  return [
    row('Priority', `up to ${priority ?? ''}`),
    row('Client limits', `${inFlight} requests in flight${rate}`),
    ...(bytes === undefined ? [] : [row('Model limit', `up to ${bytes} bytes`)]),
  ]
}

function remedyOf(decision: PolicyDecision, { client, model }: PolicyReport, isAll: boolean): string[] {
  const { operations } = decision
  const rule = [
    `- clients: [${quoted(client)}]`,
    `  models: [${quoted(model)}]`,
    ...(isAll ? [] : [`  operations: [${operations.join(', ')}]`]),
  ]
  return [
    row('Answer', decision.code ?? ''),
    row('To allow it', 'add a rule to policy.allow:'),
    ...rule.map((line) => `${' '.repeat(COLUMN)}  ${printable(line)}`),
  ]
}

// In YAML, a quote in single quotes is written twice.
function quoted(name: string): string {
  return `'${name.replaceAll("'", "''")}'`
}

function row(name: string, value: string): string {
  return `${`${name}:`.padEnd(COLUMN)}${printable(value)}`
}
