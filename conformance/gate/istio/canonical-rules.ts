// Converts the rules of an RBAC filter to a form in which equal conditions are equal values.

type Node = Readonly<Record<string, unknown>>

/** A condition as alternatives of conjunctions (disjunctive normal form), in sorted order. */
type Alternatives = readonly (readonly string[])[]

/** Returns the permissions and principals of each policy, by the policy's name. */
export function canonicalRules(rules: object): Record<string, { permissions: unknown; principals: unknown }> {
  const { policies } = snakeCase(rules) as {
    policies: Record<string, { permissions: Node[]; principals: Node[] }>
  }
  return Object.fromEntries(
    Object.entries(policies).map(([name, { permissions, principals }]) => [
      name,
      { permissions: sorted(anyOf(permissions)), principals: sorted(anyOf(principals)) },
    ]),
  )
}

function alternativesOf(node: Node): Alternatives {
  const [kind, value] = Object.entries(node)[0] as [string, { rules?: Node[]; ids?: Node[] }]
  const parts = (): Node[] => value.rules ?? value.ids ?? []
  if (kind === 'or_rules' || kind === 'or_ids') return anyOf(parts())
  if (kind === 'and_rules' || kind === 'and_ids') return parts().map(alternativesOf).reduce(allOf, [[]])
  // Always true.
  if (kind === 'any') return [[]]
  return [[JSON.stringify(node)]]
}

function anyOf(nodes: readonly Node[]): Alternatives {
  return nodes.flatMap(alternativesOf)
}

function allOf(left: Alternatives, right: Alternatives): Alternatives {
  return left.flatMap((one) => right.map((other) => [...one, ...other].toSorted()))
}

function sorted(alternatives: Alternatives): string[] {
  return alternatives.map((each) => each.join(' and ')).toSorted()
}

// The JSON of Protocol Buffers may contain a field's name in camelCase or in snake_case.
function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key.startsWith('ns[') ? key : key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCase(member),
    ]),
  )
}
