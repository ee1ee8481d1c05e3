import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test, vi } from 'vitest'
import { testPolicy, type PolicyTestFlags } from './test-policy.ts'

const folder = mkdtempSync(join(tmpdir(), 'inferwire-policy-'))
const file = join(folder, 'inferwire.yaml')
writeFileSync(
  file,
  `models:
  defects: { url: http://h, versions: ['2'] }
  iris: { url: http://h, limits: { requestBytesMax: 1000 } }
policy:
  allow:
    - clients: ['line-*']
      models: [defects]
      operations: [infer, ready]
      requestBytesMax: 65536
      rate: { requestsPerSecond: 10, burst: 20 }
    - { clients: [lab], models: ['*'], priorityMax: 9 }
limits:
  client: { requestsPerSecond: 50 }
`,
)
afterAll(() => rmSync(folder, { recursive: true, force: true }))
beforeEach(() => void (process.exitCode = 0))
afterAll(() => void (process.exitCode = 0))

function run(words: string, flags: PolicyTestFlags = { config: file }): { text: string; code: unknown } {
  const [client = '', model = '', operation] = words.split(' ')
  let text = ''
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk)
    return true
  })
  try {
    testPolicy({ client, model, operation }, flags)
  } finally {
    write.mockRestore()
  }
  return { text: text.replaceAll(file, 'inferwire.yaml'), code: process.exitCode }
}

test('prints the rule that allows a request, its place, and all limits that apply', () => {
  expect(run('line-3 defects infer')).toEqual({
    text: `Client:        line-3
Model:         defects

Operations:    infer
Decision:      allowed: 1 rule allows the operation
Rule:          policy.allow[0] (inferwire.yaml:6:7): up to 65536 bytes, 10 requests per second, 20 at once
Priority:      up to 4
Client limits: 8192 requests in flight, 50 requests per second
Model limit:   up to 16777216 bytes
`,
    code: 0,
  })
})

test('prints the reason for a denial, the answer that the client receives, and the rule to add', () => {
  expect(run('line-3 defects explain')).toEqual({
    text: `Client:        line-3
Model:         defects

Operations:    explain
Decision:      denied: no rule that matches the client and the model allows the operation
Rule:          policy.allow[0] (inferwire.yaml:6:7) matches the client and the model, but its operations are infer, ready
Answer:        operation_not_supported
To allow it:   add a rule to policy.allow:
                 - clients: ['line-3']
                   models: ['defects']
                   operations: [explain]
`,
    code: 77,
  })
})

test('without an operation, groups the operations with the same decision; one allowed operation is enough', () => {
  const mixed = run('line-3 defects')
  expect(mixed.text).toMatch(/^Operations: {4}infer, ready\nDecision: {6}allowed/m)
  expect(mixed.text).toMatch(/^Operations: {4}predict, explain, .*\nDecision: {6}denied/m)
  expect(mixed.code).toBe(0)
  const same = run('lab iris')
  expect(same.text).toContain('Operations:    all\n')
  expect(same.text).toContain(
    'policy.allow[1] (inferwire.yaml:11:7): any size, any rate\nPriority:      up to 9\n',
  )
  expect(same.text).toContain('Model limit:   up to 1000 bytes\n')
  expect(run("o'neil iris")).toMatchObject({
    text: expect.stringContaining("clients: ['o''neil']"),
    code: 77,
  })
})

test('notes a model that is not configured, and knows versions', () => {
  expect(run('lab iriss infer').text).toContain(
    'Note:          The configuration has no model "iriss". Did you mean "iris"?\n',
  )
  expect(run('lab defects@2 infer').text).not.toContain('Note:')
})

test('notes that a model may be found in the cluster', () => {
  const found = join(folder, 'discovery.yaml')
  writeFileSync(found, 'discovery: { enabled: true, namespaces: [models] }\npolicy: { allow: [] }\n')
  expect(run('lab iris infer', { config: found }).text).toContain(
    'The configuration has no model "iris". A model with this name may be found in the cluster.\n',
  )
})

test('with -o json, prints one object', () => {
  const { text } = run('line-3 defects infer', { config: file, output: 'json' })
  expect(JSON.parse(text)).toEqual({
    client: 'line-3',
    model: 'defects',
    allowed: true,
    decisions: [
      {
        operations: ['infer'],
        allowed: true,
        rules: [
          {
            path: 'policy.allow[0]',
            source: 'inferwire.yaml:6:7',
            request_bytes_max: 65_536,
            requests_per_second: 10,
            burst: 20,
          },
        ],
        priority_max: 4,
        reason: '1 rule allows the operation',
      },
    ],
    client_limits: { in_flight_max: 8192, requests_per_second: 50 },
    model_request_bytes_max: 16_777_216,
    notes: [],
  })
})

test('reports that there is no policy', () => {
  const open = join(folder, 'open.yaml')
  writeFileSync(open, 'models:\n  iris: { url: http://h }\n')
  expect(run('a iris', { config: open }).text).toContain(
    'Decision:      allowed: the configuration has no policy\n',
  )
})

test('rejects names that cannot be in a topic', () => {
  expect(() => run('a/b iris')).toThrow('"a/b" cannot be a client\'s name in a topic.')
  expect(() => run('a ../iris')).toThrow('"../iris" cannot be a model\'s name in a topic.')
})
