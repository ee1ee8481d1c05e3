// The access rules of the wire contract, once: they make the client level of a topic unforgeable.
import { TopicSpace } from '@inferwire/protocol'
import { trimBlanks, userNameMistake } from './user-name.ts'

/** One rule; `%u` as a whole level stands for the user's name. */
export interface AclRule {
  readonly access: 'read' | 'write'
  readonly filter: string
}

/** Who may do what below one root. */
export interface ContractRules {
  /** For the connector, beside those for everybody. */
  readonly connector: readonly AclRule[]
  /** For every user: ask, cancel and be answered under its own name, see models and status. */
  readonly everybody: readonly AclRule[]
}

/** What an ACL file is made for. */
export interface AclOptions {
  /** @default infer */
  readonly root?: string
  /** @default inferwire */
  readonly connectorUser?: string
  /** Users who may see everything, `$SYS` too, for tools such as MQTT Explorer. @default none */
  readonly observers?: readonly string[]
}

/** The rules. @throws Error when the root is not a topic name, or one that an ACL file cannot hold */
export function contractRules(root = 'infer'): ContractRules {
  const topics = new TopicSpace(root)
  if (root.includes('%') || root !== trimBlanks(root)) {
    throw new Error(
      `Root "${root}" cannot be in an ACL file: use levels without % and without spaces around.`,
    )
  }
  return {
    connector: [
      { access: 'read', filter: topics.requestFilter },
      { access: 'read', filter: topics.cancelFilter },
      { access: 'write', filter: `${root}/reply/#` },
      { access: 'write', filter: `${root}/models/#` },
      { access: 'write', filter: `${root}/status/#` },
    ],
    everybody: [
      { access: 'write', filter: `${root}/request/%u/#` },
      { access: 'write', filter: `${root}/cancel/%u/#` },
      { access: 'read', filter: `${root}/reply/%u/#` },
      { access: 'read', filter: `${root}/models/#` },
      { access: 'read', filter: `${root}/status/#` },
    ],
  }
}

/** The rules as Mosquitto's `acl_file`. @throws Error for a root or a user that cannot be in one */
export function aclText(options: AclOptions = {}): string {
  const { root, connectorUser = 'inferwire', observers = [] } = options
  const { connector, everybody } = contractRules(root)
  const lines = (word: 'topic' | 'pattern', rules: readonly AclRule[]): string[] =>
    rules.map(({ access, filter }) => `${word} ${access} ${filter}`)
  const everything: AclRule[] = ['#', '$SYS/#'].map((filter) => ({ access: 'read', filter }))
  return [
    '# The connector.',
    `user ${checkedUser(connectorUser)}`,
    ...lines('topic', connector),
    '',
    ...observers.flatMap((user) => [`user ${checkedUser(user)}`, ...lines('topic', everything), '']),
    '# Every user, under its own name.',
    ...lines('pattern', everybody),
    '',
  ].join('\n')
}

/** Whether one of the rules lets the user do it; the topic is a topic name, not a filter. */
export function isAllowed(
  rules: readonly AclRule[],
  user: string,
  access: 'read' | 'write',
  topic: string,
): boolean {
  const isClean = userNameMistake(user) === undefined
  return rules.some((rule) => {
    if (rule.access !== access || (!isClean && rule.filter.includes('%u'))) return false
    return matches(
      rule.filter.split('/').map((level) => (level === '%u' ? user : level)),
      topic.split('/'),
    )
  })
}

// The rules have no `+`; `#` is always last and also matches its parent level (MQTT 5 §4.7.1.2).
function matches(filter: readonly string[], topic: readonly string[]): boolean {
  if (filter.at(-1) !== '#') return filter.length === topic.length && beginsWith(topic, filter)
  return beginsWith(topic, filter.slice(0, -1))
}

function beginsWith(topic: readonly string[], levels: readonly string[]): boolean {
  return topic.length >= levels.length && levels.every((level, index) => topic[index] === level)
}

function checkedUser(name: string): string {
  const mistake = userNameMistake(name)
  if (mistake !== undefined) throw new Error(`User "${name}" cannot be in an ACL file: the name ${mistake}.`)
  return name
}
