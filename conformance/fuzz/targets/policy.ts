// Target: matches the rules of a policy against names and operations. The result must equal the result of a simple
// matcher, and matching must take bounded time.
import { isOperationName, Problem } from '@inferwire/protocol'
import { Policy } from '../../../packages/connector/src/admission/index.ts'
import { claim, fieldsOf, joined, labelOf, tokens, words, type FuzzTarget } from '../target.ts'

/** Fuzzes the policy. Fields: client glob, model glob, client, model, operations of a second rule, operation. */
export const target: FuzzTarget = {
  name: 'policy',
  inputBytesMax: 1024,
  seedInputs: [
    joined('line-*', 'defects', 'line-7', 'defects', 'infer ready', 'infer'),
    joined('*', '*', 'x', 'y', 'predict', 'explain'),
    joined('*a*b*c*', 'm.*', 'xaybzc', 'm.n', '', 'metadata'),
    joined('(a|b)+[x]', '^$', '(a|b)+[x]', '^$', 'chat constructor', 'constructor'),
  ],
  dictionary: [
    ...words('* ** *a *-* . \\ ( [ | $ \u2028 infer ready explain __proto__'),
    ...tokens('\n', [0xff], 'a'.repeat(100)),
  ],
  run(input) {
    const [clients = '', models = '', client = '', model = '', operations = '', operation = ''] = fieldsOf(
      input,
    ).map((field) => field.slice(0, 255))
    // Skips globs that the configuration rejects, and client names that contain a slash.
    if (!isGlob(clients) || !isGlob(models) || client.includes('/')) return 'not a policy'
    // The first rule matches the names, but allows only some operations; the second allows one operation to everyone.
    const listed = operations.split(' ')
    const policy = new Policy([
      { clients: [clients], models: [models], operations: listed },
      { clients: ['*'], models: ['*'], operations: ['ready'], priorityMax: 9 },
    ])
    const decide = (): string =>
      labelOf(
        () => `priority ${policy.grant(client, model, operation).priorityMax}`,
        (error) => (error instanceof Problem && error.code === 'forbidden_model' ? 'forbidden' : undefined),
      )
    const decision = decide()
    claim(decide() === decision, 'the cached decision differs from the first one')
    claim(
      policy.shows(client, model, operation) === (decision !== 'forbidden'),
      'an operation is shown although it is forbidden, or hidden although it is allowed',
    )
    claim(policy.shows(client, model), 'a model is hidden although one of its operations is allowed')
    const isNamed = matches(clients, client) && matches(models, model) && listed.includes(operation)
    const expected =
      operation === 'ready'
        ? 'priority 9'
        : isNamed && isOperationName(operation)
          ? 'priority 4'
          : 'forbidden'
    claim(decision === expected, `${decision}, unlike the decision of a simple matcher`)
    const onlyNamed = new Policy([{ clients: [clients], models: [models], operations: listed }])
    const isShown = onlyNamed.shows(client, model)
    claim(
      isShown === (matches(clients, client) && matches(models, model)),
      'a model is shown, unlike the decision of a simple matcher',
    )
    return `${decision} ${isShown ? 'shown' : 'hidden'} ${Math.min(4, clients.split('*').length)} ${Math.min(4, models.split('*').length)}`
  },
}

function isGlob(text: string): boolean {
  return /^[^/+#]{1,255}$/.test(text)
}

// Backtracks only to the last star, which is sufficient for globs and never slow.
function matches(glob: string, text: string): boolean {
  let at = 0
  let from = 0
  let star = -1
  let resume = 0
  while (at < text.length) {
    if (glob[from] === '*') {
      star = from++
      resume = at
    } else if (from < glob.length && glob[from] === text[at]) {
      from += 1
      at += 1
    } else if (star >= 0) {
      from = star + 1
      at = ++resume
    } else return false
  }
  return /^\**$/.test(glob.slice(from))
}
