import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { aclText, contractRules, isAllowed } from './acl.ts'

test('aclText contains the rules for the connector, then for the observers, then for every user', () => {
  expect(aclText({ root: 'plant/infer', connectorUser: 'bridge', observers: ['ops'] })).toBe(
    `# The connector.
user bridge
topic read plant/infer/request/#
topic read plant/infer/cancel/#
topic write plant/infer/reply/#
topic write plant/infer/models/#
topic write plant/infer/status/#

# Read access to all topics, for tools such as MQTT Explorer.
user ops
topic read #
topic read $SYS/#

# Every user, only under its own name.
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
])('aclText rejects %j', (options, message) => {
  expect(() => aclText(options)).toThrow(message)
})

describe('a user', () => {
  const { everyUser, connector } = contractRules()

  const may = (access: 'read' | 'write', topic: string): boolean =>
    isAllowed(everyUser, 'alice', access, topic)

  test('may write only its own request and cancel topics, and read models, statuses and its own replies', () => {
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

  test.each(['a/b', '+', '#', '', ' a'])(
    'whose name is invalid (%j) cannot access any topic that contains a user name',
    (user) => {
      for (const topic of [`infer/request/${user}/iris`, 'infer/request/a/b/iris', 'infer/request//iris']) {
        expect(isAllowed(everyUser, user, 'write', topic)).toBe(false)
      }
      expect(isAllowed(everyUser, user, 'read', 'infer/models/iris')).toBe(true)
    },
  )

  test("never has access to another user's topics, for any two names", () => {
    const level = fc.oneof(
      fc.string({ maxLength: 6 }),
      fc.constantFrom('%u', '%c', '+', '#', '$SYS', 'request'),
    )
    fc.assert(
      fc.property(level, level, level, (user, other, rest) => {
        fc.pre(user !== other)
        const topic = `infer/request/${other}/${rest}`
        fc.pre(!topic.startsWith(`infer/request/${user}/`))
        expect(isAllowed(everyUser, user, 'write', topic)).toBe(false)
      }),
      { numRuns: 1000 },
    )
  })

  test("has none of the connector's rights", () => {
    expect(isAllowed(connector, 'inferwire', 'read', 'infer/request/alice/iris')).toBe(true)
    expect(isAllowed(connector, 'inferwire', 'write', 'infer/request/alice/iris')).toBe(false)
  })
})
