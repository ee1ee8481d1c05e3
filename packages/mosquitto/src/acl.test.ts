import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { aclText, contractRules, isAllowed } from './acl.ts'

test('the text is what an acl_file takes, the connector first', () => {
  expect(aclText({ root: 'plant/infer', connectorUser: 'bridge', observers: ['ops'] })).toBe(
    `# The connector.
user bridge
topic read plant/infer/request/#
topic read plant/infer/cancel/#
topic write plant/infer/reply/#
topic write plant/infer/models/#
topic write plant/infer/status/#

user ops
topic read #
topic read $SYS/#

# Every user, under its own name.
pattern write plant/infer/request/%u/#
pattern write plant/infer/cancel/%u/#
pattern read plant/infer/reply/%u/#
pattern read plant/infer/models/#
pattern read plant/infer/status/#
`,
  )
})

test.each([
  [{ root: 'infer/#' }, 'is not a topic name'],
  [{ root: '%u/infer' }, 'cannot be in an ACL file'],
  [{ root: ' infer' }, 'cannot be in an ACL file'],
  [{ connectorUser: 'a\nuser b' }, 'cannot be in an ACL file'],
  [{ observers: ['a/b'] }, 'cannot be in an ACL file'],
])('%j is refused', (options, message) => {
  expect(() => aclText(options)).toThrow(message)
})

describe('a user', () => {
  const { everybody, connector } = contractRules()

  const may = (access: 'read' | 'write', topic: string): boolean =>
    isAllowed(everybody, 'alice', access, topic)

  test('asks and is answered under the own name only, and sees models and status', () => {
    expect(may('write', 'infer/request/alice/iris')).toBe(true)
    expect(may('write', 'infer/cancel/alice/iris/predict/1')).toBe(true)
    expect(may('read', 'infer/reply/alice/iris')).toBe(true)
    expect(may('read', 'infer/models/iris')).toBe(true)
    expect(may('read', 'infer/status/edge')).toBe(true)
    for (const topic of ['infer/request/bob/iris', 'infer/reply/alice/iris', 'infer/models/iris', 'alice']) {
      expect(may('write', topic)).toBe(false)
    }
    expect(may('read', 'infer/reply/bob/iris')).toBe(false)
    expect(may('read', 'infer/request/alice/iris')).toBe(false)
  })

  test.each(['a/b', '+', '#', '', ' a'])('called %j may nothing where the name counts', (user) => {
    for (const topic of [`infer/request/${user}/iris`, 'infer/request/a/b/iris', 'infer/request//iris']) {
      expect(isAllowed(everybody, user, 'write', topic)).toBe(false)
    }
    expect(isAllowed(everybody, user, 'read', 'infer/models/iris')).toBe(true)
  })

  test('is never in the subtree of another one, whatever they are called', () => {
    const level = fc.oneof(
      fc.string({ maxLength: 6 }),
      fc.constantFrom('%u', '%c', '+', '#', '$SYS', 'request'),
    )
    fc.assert(
      fc.property(level, level, level, (user, other, rest) => {
        fc.pre(user !== other)
        const topic = `infer/request/${other}/${rest}`
        fc.pre(!topic.startsWith(`infer/request/${user}/`))
        expect(isAllowed(everybody, user, 'write', topic)).toBe(false)
      }),
      { numRuns: 1000 },
    )
  })

  test('is no connector', () => {
    expect(isAllowed(connector, 'inferwire', 'read', 'infer/request/alice/iris')).toBe(true)
    expect(isAllowed(connector, 'inferwire', 'write', 'infer/request/alice/iris')).toBe(false)
  })
})
