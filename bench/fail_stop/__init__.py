"""What PostgreSQL does when its log cannot be brought: stop, or open for business with rows missing."""
