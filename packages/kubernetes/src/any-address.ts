// Every address except link-local ones, which clouds use for their metadata services.

/** Destinations in the egress rule of a NetworkPolicy. */
export const ANY_ADDRESS = [
  { namespaceSelector: {} },
  { ipBlock: { cidr: '0.0.0.0/0', except: ['169.254.0.0/16'] } },
  { ipBlock: { cidr: '::/0', except: ['fe80::/10', 'fd00:ec2::/32'] } },
]
