// The access rules of the wire contract, which prevent a client from forging the client level of a topic.
import { TopicSpace } from '@inferwire/protocol'
import { trimBlanks, userNameMistake } from './user-name.ts'

/** One rule. A level `%u` matches the user's name. */
export interface AclRule {
  readonly access: 'read' | 'write'
  readonly filter: string
}

/** The access rules below one root. */
export interface ContractRules {
  /** Rules for the connector, in addition to those for every user. */
  readonly connector: readonly AclRule[]
  /**
   * Rules for every user: topics for models and status, and the request, cancel and reply topics that contain the
   * user's own name.
   */
  readonly everyUser: readonly AclRule[]
}

/** The parameters of an ACL file. */
export interface AclOptions {
  /** @default infer */
  readonly root?: string
  /** @default inferwire */
  readonly connectorUser?: string
  /** Users with read access to all topics and `$SYS`, for tools such as MQTT Explorer. @default none */
  readonly observers?: readonly string[]
}

/** Returns the rules. @throws Error if the root is not a topic name, or cannot be part of an ACL file */
export function contractRules(root = 'infer'): ContractRules {
  const topics = new TopicSpace(root)
  if (root.includes('%') || root !== trimBlanks(root)) {
    throw new Error(
      `Root "${root}" cannot be in an ACL file: it must not contain %, or start or end with a space.`,
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
    everyUser: [
      { access: 'write', filter: `${root}/request/%u/#` },
      { access: 'write', filter: `${root}/cancel/%u/#` },
      { access: 'read', filter: `${root}/reply/%u/#` },
      { access: 'read', filter: `${root}/models/#` },
      { access: 'read', filter: `${root}/status/#` },
    ],
  }
}

/** Returns the rules as Mosquitto's `acl_file`. @throws Error for a root or a user name that the file cannot contain */
export function aclText(options: AclOptions = {}): string {
  const { root, connectorUser = 'inferwire', observers = [] } = options
  const { connector, everyUser } = contractRules(root)
  const lines = (word: 'topic' | 'pattern', rules: readonly AclRule[]): string[] =>
    rules.map(({ access, filter }) => `${word} ${access} ${filter}`)
  const everything: AclRule[] = ['#', '$SYS/#'].map((filter) => ({ access: 'read', filter }))
  return [
    '# The connector.',
    `user ${checkedUser(connectorUser)}`,
    ...lines('topic', connector),
    '',
    ...observers.flatMap((user) => [
      '# Read access to all topics, for tools such as MQTT Explorer.',
      `user ${checkedUser(user)}`,
      ...lines('topic', everything),
      '',
    ]),
    '# Every user, only under its own name.',
    ...lines('pattern', everyUser),
    '',
  ].join('\n')
}

/** Returns whether one of the rules permits the access. `topic` is a topic name, not a topic filter. */
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

// The rules contain no `+`. `#` is always the last level and also matches its parent level (MQTT 5 §4.7.1.2).
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
