// Target: matches a policy's globs against names. The result must equal the result of a simple matcher, and
// matching must take bounded time.
import { Problem } from '@inferwire/protocol'
import { Policy } from '../../../packages/connector/src/admission/index.ts'
import { claim, fieldsOf, joined, labelOf, tokens, words, type FuzzTarget } from '../target.ts'

/** Fuzzes the policy. Fields: client glob, model glob, client, model. */
export const target: FuzzTarget = {
  name: 'policy',
  inputBytesMax: 1024,
  seedInputs: [
    joined('line-*', 'defects', 'line-7', 'defects'),
    joined('*', '*', 'x', 'y'),
    joined('*a*b*c*', 'm.*', 'xaybzc', 'm.n'),
    joined('(a|b)+[x]', '^$', '(a|b)+[x]', '^$'),
  ],
  dictionary: [...words('* ** *a *-* . \\ ( [ | $ \u2028'), ...tokens('\n', [0xff], 'a'.repeat(100))],
  run(input) {
    const [clients = '', models = '', client = '', model = ''] = fieldsOf(input).map((field) =>
      field.slice(0, 255),
    )
    // Skips globs that the configuration rejects, and client names that contain a slash.
    if (!isGlob(clients) || !isGlob(models) || client.includes('/')) return 'not a policy'
    const policy = new Policy([{ clients: [clients], models: [models] }])
    const decide = (): string =>
      labelOf(
        () => {
          policy.check(client, model)
          return 'allowed'
        },
        (error) => (error instanceof Problem && error.code === 'forbidden_model' ? 'forbidden' : undefined),
      )
    const decision = decide()
    claim(decide() === decision, 'the cached decision differs from the first one')
    const expected = matches(clients, client) && matches(models, model)
    claim(
      decision === (expected ? 'allowed' : 'forbidden'),
      `${decision}, unlike the decision of a simple matcher`,
    )
    return `${decision} ${Math.min(4, clients.split('*').length)} ${Math.min(4, models.split('*').length)}`
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
